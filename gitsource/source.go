package gitsource

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"seedtree/manifests"
)

// Config says where the catalog is and how to get at it.
type Config struct {
	URLs    []string // tried in order; the first whose answer can be used serves
	Branch  string   // "" is main
	Dir     string   // the mirror's folder; made when absent, lost without harm
	Timeout time.Duration
	SSH     SSH
	HTTPS   HTTPS
	Trust   Trust
	Author  Author // of our commits; "" is seedtree
	Log     *slog.Logger
}

// SSH holds files; they are read at each use, so keys can be replaced under a running process.
type SSH struct {
	KeyFile        string // "": the agent at SSH_AUTH_SOCK, then the usual files in ~/.ssh
	PassphraseFile string
	KnownHostsFile string // "": ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
}

// HTTPS holds names of files that are read at each use.
type HTTPS struct {
	Username, PasswordFile string
	CAFile                 string // trusted instead of the system's authorities
	CertFile, KeyFile      string // a client certificate; both or neither
	Proxy                  string // http://[NAME@]HOST:PORT; "" is what HTTPS_PROXY and NO_PROXY say
	ProxyPasswordFile      string
}

// Author signs commits with a name and a mail address.
type Author struct{ Name, Email string }

// String writes the author as git does, without the characters git gives a meaning.
func (a Author) String() string {
	clean := func(s, fallback string) string {
		s = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == '<' || r == '>' || r == 0x7f {
				return -1
			}
			return r
		}, s))
		if s == "" {
			return fallback
		}
		return s
	}
	return clean(a.Name, "seedtree") + " <" + clean(a.Email, "seedtree@localhost") + ">"
}

// DefaultTimeout is how long a remote may stay silent.
const DefaultTimeout = 60 * time.Second

// Source is one catalog branch at its remotes and in the local mirror. All methods
// are safe for concurrent use, also by several processes on one Dir: each holds a
// lock while it works.
type Source struct {
	cfg     Config
	log     *slog.Logger
	remotes []remote
	lim     limits

	answered atomic.Pointer[string]       // the remote that was of use last
	passed   atomic.Pointer[[]PassedOver] // by the last Fetch

	turn  chan struct{} // a mutex that a context can give up waiting for
	flock *flock.Flock
	signs atomic.Int64 // of life of the present work, for those who wait for their turn

	// guarded by turn
	st        state
	beat      func() // tells whoever watches the present work, or waits for it, that it gets on
	store     *store
	packs     []string        // of the mirror when store was opened
	useless   map[string]bool // remotes that were not of use; each change is logged once
	unguarded map[string]bool // what was said about files that others can write
	refused   []PassedOver    // by what was tried last
	barred    error           // why one of those did not let us in
	locked    error           // the same, of the last Fetch
	listings  []cachedListing
	drift     int // entries changed since the listing cache was written
	statuses  map[string]cachedStatus
	unpushed  *Batch // of the newest Commit
}

type cachedListing struct {
	tree    hash // of torrents/
	listing *manifests.Listing
}

// Open checks the configuration and prepares the mirror's folder. It contacts nobody.
func Open(cfg Config) (*Source, error) {
	if cfg.Branch == "" {
		cfg.Branch = "main"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := validRefName(headRef(cfg.Branch)); err != nil {
		return nil, fmt.Errorf("catalog branch %q: %w", cfg.Branch, err)
	}
	if len(cfg.URLs) == 0 {
		return nil, errors.New("catalog: no url is configured")
	}
	if cfg.Trust.Signatures != NoSignatures && cfg.Trust.AllowedSignersFile == "" {
		return nil, errors.New("catalog: signatures are to be checked, and no file of allowed signers is configured")
	}
	if cfg.Dir == "" {
		return nil, errors.New("catalog: no folder for the mirror is configured")
	}
	s := &Source{cfg: cfg, log: cfg.Log, lim: defaultLimits(), turn: make(chan struct{}, 1)}
	for _, u := range cfg.URLs {
		r, err := newRemote(u, cfg)
		if err != nil {
			return nil, fmt.Errorf("catalog url %s: %w", redact(u), err)
		}
		s.remotes = append(s.remotes, r)
	}
	if err := proxied(cfg); err != nil {
		return nil, err
	}
	if err := prepareDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("folder of the mirror: %w", err)
	}
	s.flock = flock.New(filepath.Join(cfg.Dir, lockName))
	s.sweep()
	return s, nil
}

// sweep removes what killed processes left, unless somebody is at work: then the
// next one will.
func (s *Source) sweep() {
	if free, err := s.flock.TryLock(); err != nil || !free {
		return
	}
	err := errors.Join(s.sweepBatches(), os.RemoveAll(s.path(besideName)), os.RemoveAll(s.path(replacedName)))
	temps, globErr := filepath.Glob(filepath.Join(s.cfg.Dir, ".*.tmp"))
	for _, name := range temps {
		err = errors.Join(err, os.Remove(name))
	}
	if err := errors.Join(err, globErr, s.flock.Unlock()); err != nil {
		s.log.Warn("remove what was left unfinished", "dir", s.cfg.Dir, "err", err)
	}
}

// Names in the mirror's folder.
const (
	lockName     = "mirror.lock"
	stateName    = "mirror.json"
	gitName      = "catalog.git"
	besideName   = "catalog.new.git" // will take its place
	replacedName = "catalog.old.git" // had it
	incomingName = "incoming"
	batchesName  = "batches"
)

// prepareDir makes the folder, and refuses one that holds other people's things:
// parts of it are deleted when a mirror is made anew.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == lockName {
			return nil
		}
	}
	if len(files) > 0 {
		return fmt.Errorf("%s holds %q and was not made by seedtree: name an empty or absent folder", dir, files[0].Name())
	}
	return nil
}

// Close lets go of the mirror's files.
func (s *Source) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.forgetUnpushed()
	return s.closeStore()
}

func (s *Source) closeStore() error {
	if s.store == nil {
		return nil
	}
	err := s.store.Close()
	s.store, s.packs = nil, nil
	return err
}

// URL returns the remote that answered last, "" before the first. It never waits.
func (s *Source) URL() string {
	if u := s.answered.Load(); u != nil {
		return *u
	}
	return ""
}

func (s *Source) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// open returns the mirror's objects, checked since they last changed.
// The error wraps ErrDamaged when they must be fetched anew. A mirror with damage on
// record is opened all the same: what can be read of it serves until the remote answers.
func (s *Source) open() (*store, error) {
	dir := s.path(gitName)
	names, err := packNames(dir)
	if errors.Is(err, fs.ErrNotExist) && s.st.Tip != "" {
		return nil, broken(ErrDamaged, "%w", err)
	}
	// HEAD is written last: without it the mirror is new, or a crash came first.
	if _, headErr := os.Lstat(filepath.Join(dir, "HEAD")); errors.Is(headErr, fs.ErrNotExist) {
		if err := initGitDir(dir, s.cfg.Branch); err != nil {
			return nil, broken(ErrDamaged, "%w", err)
		}
		names, err = packNames(dir)
	}
	if err != nil {
		return nil, broken(ErrDamaged, "%w", err)
	}
	if s.store != nil && slices.Equal(names, s.packs) {
		return s.store, nil
	}
	if err := sweepPacks(dir); err != nil {
		return nil, err
	}
	opened, err := openMirror(dir, names, s.store)
	if closeErr := s.closeStore(); closeErr != nil {
		s.log.Warn("close the mirror's packs", "err", closeErr)
	}
	if err != nil {
		return nil, err
	}
	opened.beat = s.beat
	s.store, s.packs = opened, names
	return s.store, nil
}

// reopen makes packs that were just installed visible.
func (s *Source) reopen() (*store, error) {
	return s.open()
}

// noteDamage remembers, across processes, that the objects must be fetched anew.
func (s *Source) noteDamage(err error) {
	if !errors.Is(err, ErrDamaged) || s.st.Damaged != "" {
		return
	}
	// What was noted on the way to a revision that is not reached now is not true of
	// the one that was.
	if st, err := loadState(s.path(stateName), s.cfg.Branch); err == nil {
		s.st = st
	}
	s.log.Warn("the mirror is damaged", "dir", s.cfg.Dir, "err", err)
	s.st.Damaged = err.Error()
	if err := saveState(s.path(stateName), s.st); err != nil {
		s.log.Warn("note the damage", "err", err)
	}
}

func (s *Source) save() error {
	return saveState(s.path(stateName), s.st)
}

// moveTip makes a revision the one reached.
func (s *Source) moveTip(id hash) error {
	if s.st.Tip == id.String() && !s.st.Gone {
		return nil
	}
	s.st.Tip, s.st.Gone = id.String(), false
	if err := s.save(); err != nil {
		return err
	}
	// For people who look at the mirror with git; never read by us.
	ref := filepath.Join(s.path(gitName), filepath.FromSlash(headRef(s.cfg.Branch)))
	if err := os.MkdirAll(filepath.Dir(ref), 0o777); err != nil {
		return nil
	}
	_ = os.WriteFile(ref, []byte(id.String()+"\n"), 0o644)
	return nil
}
