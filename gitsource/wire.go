package gitsource

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// Services of git's pack protocol, version 0.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// maxAdvertisement bounds the list of references a server may send, in bytes.
const maxAdvertisement = 64 << 20

// pipe is one conversation with a git service: it advertises its references, then
// answers one request.
type pipe interface {
	advertised() io.Reader
	// request sends size bytes and returns the answer.
	request(body io.Reader, size int64) (io.Reader, error)
	// renew gives the server the whole timeout again.
	renew()
	io.Closer
}

// wire is a remote that speaks git's pack protocol over some pipe.
type wire struct {
	address string // for messages, without secrets
	timeout time.Duration
	// open starts a service; the context ends the whole conversation.
	open func(ctx context.Context, service string) (pipe, error)
}

// String returns the address.
func (w *wire) String() string { return w.address }

func (w *wire) start(ctx context.Context, service string) (pipe, *packp.AdvRefs, error) {
	p, err := w.open(ctx, service)
	if err != nil {
		return nil, nil, classify(ctx, err)
	}
	ar := packp.NewAdvRefs()
	from := &ending{r: io.LimitReader(p.advertised(), maxAdvertisement)}
	err = ar.Decode(from)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		err = nil // a repository without any reference
	case err != nil:
		err = classify(ctx, errors.Join(advertiseError(err), from.err, p.Close()))
		return nil, nil, err
	}
	if format, ok := agentFormat(ar); ok && format != "sha1" {
		return nil, nil, errors.Join(errSHA256, p.Close())
	}
	return p, ar, nil
}

// ending remembers how a conversation broke off: the decoder of references only
// keeps the words of it.
type ending struct {
	r   io.Reader
	err error
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.err = eof(err)
	return n, err
}

func agentFormat(ar *packp.AdvRefs) (string, bool) {
	v := ar.Capabilities.Get("object-format")
	return strings.Join(v, ""), len(v) > 0
}

// advertiseError finds the server's own words in a failed start.
func advertiseError(err error) error {
	var line *pktline.ErrorLine
	if errors.As(err, &line) {
		return serverError(line.Text)
	}
	if errors.Is(err, packp.ErrEmptyInput) {
		return io.ErrUnexpectedEOF // closed without a word: what it said on the side follows
	}
	return err
}

// serverError tells a missing repository from other complaints.
func serverError(text string) error {
	low := strings.ToLower(text)
	for _, phrase := range []string{"not found", "not appear to be a git repository", "no such", "could not be found", "not exist"} {
		if strings.Contains(low, phrase) {
			return fmt.Errorf("%w: the server says %q", ErrNotFound, text)
		}
	}
	return fmt.Errorf("the server says %q", text)
}

// classify marks errors of the network as ErrUnreachable: those that another try
// may not meet.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return errors.Join(ctx.Err(), err)
	}
	for _, known := range []error{ErrUnreachable, ErrAuth, ErrHostKey, ErrNotFound, ErrRefused, ErrMoved, ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	var netErr net.Error
	var opErr *net.OpError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the server ended the connection: %w", ErrUnreachable, err)
	}
	if errors.As(err, &netErr) || errors.As(err, &opErr) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

func (w *wire) fetch(ctx context.Context, choose chooser, _ func(hash) bool, in *incoming) error {
	p, ar, err := w.start(ctx, uploadPack)
	if err != nil {
		return err
	}
	defer p.Close()
	wants, haves, err := choose(heads(ar.References))
	if err != nil || len(wants) == 0 {
		return err
	}
	body, banded, err := uploadRequest(ar, wants, haves)
	if err != nil {
		return err
	}
	p.renew()
	raw, err := p.request(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return classify(ctx, err)
	}
	answer := bufio.NewReaderSize(raw, 1<<16)
	if err := skipAcks(answer); err != nil {
		return classify(ctx, fmt.Errorf("the server's answer: %w", err))
	}
	pack := io.Reader(answer)
	if banded {
		pack = &band{r: answer, words: io.Discard, alive: w.patience(p)}
	}
	to, err := in.writer()
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, pack); err != nil {
		return classify(ctx, fmt.Errorf("receive objects: %w", err))
	}
	_ = p.Close() // what follows is our own work, and may take long
	if err := in.index(); err != nil {
		return classify(ctx, err) // a pack that was cut short is a broken connection
	}
	return nil
}

// patience is how many times the timeout a server may be busy for, when it says
// so: git sends an empty packet every few seconds while it gathers a pack, or takes
// one apart.
const patience = 10

func (w *wire) patience(p pipe) (alive func()) {
	until := time.Now().Add(patience * w.timeout)
	return func() {
		if time.Now().Before(until) {
			p.renew()
		}
	}
}

// uploadRequest asks for wants, naming what we have. Neither thin packs nor the
// longer negotiations are asked for: a pack must stand by itself.
func uploadRequest(ar *packp.AdvRefs, wants, haves []hash) (body []byte, band bool, err error) {
	req := packp.NewUploadPackRequest()
	req.Wants, req.Haves = wants, haves
	for _, c := range []capability.Capability{capability.Sideband64k, capability.OFSDelta, capability.NoProgress} {
		if ar.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return nil, false, err
			}
		}
	}
	if ar.Capabilities.Supports(capability.Agent) {
		if err := req.Capabilities.Set(capability.Agent, "seedtree"); err != nil {
			return nil, false, err
		}
	}
	var b bytes.Buffer
	err = req.UploadRequest.Encode(&b)
	if err == nil {
		err = req.UploadHaves.Encode(&b, false)
	}
	if err == nil {
		err = pktline.NewEncoder(&b).EncodeString("done\n")
	}
	return b.Bytes(), req.Capabilities.Supports(capability.Sideband64k), err
}

// skipAcks reads up to the pack: a NAK, or ACKs. Without multi_ack one would be
// enough, but git repeats it for every commit it knew we had.
func skipAcks(r *bufio.Reader) error {
	for seen := false; ; seen = true {
		head, err := r.Peek(8)
		if err != nil {
			return eof(err)
		}
		if word := string(head[4:]); word != "ACK " && word != "NAK\n" {
			if seen {
				return nil
			}
			if word != "ERR " {
				return fmt.Errorf("neither ACK nor NAK but %q", head)
			}
		}
		scan := pktline.NewScanner(r)
		if scan.Scan() {
			continue
		}
		var line *pktline.ErrorLine
		if errors.As(scan.Err(), &line) {
			return serverError(line.Text)
		}
		return cmp.Or(scan.Err(), io.ErrUnexpectedEOF)
	}
}

func (w *wire) push(ctx context.Context, u update) error {
	p, ar, err := w.start(ctx, receivePack)
	if err != nil {
		return err
	}
	defer p.Close()
	now := ar.References[u.ref]
	if now == u.new {
		return nil
	}
	if err := u.check(now); err != nil {
		return err
	}
	u.old = now
	head, banded, err := u.request(ar)
	if err != nil {
		return err
	}
	pack, err := os.Open(u.pack.base + ".pack")
	if err != nil {
		return err
	}
	defer pack.Close()
	st, err := pack.Stat()
	if err != nil {
		return err
	}
	p.renew()
	answer, err := p.request(io.MultiReader(bytes.NewReader(head), pack), int64(len(head))+st.Size())
	if err != nil {
		return &unsureError{classify(ctx, err)}
	}
	p.renew()
	return classify(ctx, readReport(answer, banded, w.patience(p)))
}

// request is the one command and its capabilities; the pack follows it.
func (u update) request(ar *packp.AdvRefs) (head []byte, band bool, err error) {
	if !ar.Capabilities.Supports(capability.ReportStatus) {
		return nil, false, errors.New("the server cannot report whether a push went well")
	}
	caps := []string{string(capability.ReportStatus)}
	if band = ar.Capabilities.Supports(capability.Sideband64k); band {
		caps = append(caps, string(capability.Sideband64k))
	}
	if ar.Capabilities.Supports(capability.Agent) {
		caps = append(caps, "agent=seedtree")
	}
	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	err = e.Encodef("%s %s %s\x00 %s", u.old, u.new, u.ref, strings.Join(caps, " "))
	if err == nil {
		err = e.Flush()
	}
	return b.Bytes(), band, err
}

// readReport reads what became of the push. Refusals by rule are final; for all
// else the caller asks where the branch stands now.
func readReport(r io.Reader, banded bool, alive func()) error {
	var words tail
	if banded {
		r = &band{r: bufio.NewReader(r), words: &words, alive: alive}
	}
	report := packp.NewReportStatus()
	if err := report.Decode(r); err != nil {
		return &unsureError{fmt.Errorf("the server's report: %w%s", eof(err), words.said())}
	}
	if report.UnpackStatus != "ok" {
		return fmt.Errorf("the server could not take the objects: %s%s", printable(report.UnpackStatus), words.said())
	}
	for _, c := range report.CommandStatuses {
		if c.Status == "ok" {
			continue
		}
		err := fmt.Errorf("%w: %s%s", ErrRefused, printable(c.Status), words.said())
		if strings.Contains(c.Status, "hook declined") {
			return err
		}
		return &unsureError{err}
	}
	return nil
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tail keeps the end of what a server says beside the data, for messages.
type tail struct{ b []byte }

const maxTail = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > maxTail {
		t.b = append([]byte(nil), t.b[len(t.b)-maxTail:]...)
	}
	return len(p), nil
}

func (t *tail) text() string { return printable(string(t.b)) }

// printable takes out of a server's words what a terminal would obey: it has no
// business with that.
func printable(words string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\n' {
			return -1
		}
		return r
	}, words))
}

func (t *tail) said() string {
	if s := t.text(); s != "" {
		return fmt.Sprintf("; the server says %q", s)
	}
	return ""
}

var _ remote = (*wire)(nil)
