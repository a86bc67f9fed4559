package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"as it is: \"x\", ø, 写真": "as it is: \"x\", ø, 写真",
		"a\x1b[2Jb\r\x07":        `a\x1b[2Jb\r\a`,
		"\u009b31m\u202egpj.exe": `\u009b31m\u202egpj.exe`,
		"\xff\xfe and \ufffd":    "\\xff\\xfe and \ufffd",
		"a\x7fb\x00":             `a\x7fb\x00`,
	} {
		if got := harmless(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestReportIsHarmless(t *testing.T) {
	var errs bytes.Buffer
	a := newApp(streams{strings.NewReader(""), &errs, &errs})
	a.report(withHint(errors.New("ssh: \x1b[2Jno\nof the \u009bserver"), "try \x1b[31mthis"))
	if want := "error: ssh: \\x1b[2Jno\nerror: of the \\u009bserver\nhint: try \\x1b[31mthis\n"; errs.String() != want {
		t.Errorf("%q, want %q", errs.String(), want)
	}
}

// What a server says is shown, and does nothing to the terminal.
func TestServersWordsOnTheTerminal(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202eevil\rfake"
	advertise := func(refs ...string) string {
		body := "001e# service=git-upload-pack\n0000"
		for i, ref := range refs {
			line := strings.Repeat("1", 40) + " " + ref
			if i == 0 {
				line += "\x00ofs-delta"
			}
			body += fmt.Sprintf("%04x%s\n", len(line)+5, line)
		}
		body += "0000"
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for name, answer := range map[string]string{
		"status line": "HTTP/1.1 500 " + strings.ReplaceAll(evil, "\r", "") + "\r\nContent-Length: 0\r\n\r\n",
		"body":        fmt.Sprintf("HTTP/1.1 500 no\r\nContent-Length: %d\r\n\r\n%s", len(evil), evil),
		"type":        "HTTP/1.1 200 OK\r\nContent-Type: " + strings.ReplaceAll(evil, "\r", "") + "\r\nContent-Length: 0\r\n\r\n",
		"redirect":    "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/" + strings.ReplaceAll(evil, "\r", "") + "\r\nContent-Length: 0\r\n\r\n",
		"branch":      advertise("refs/heads/"+evil, "refs/heads/other"),
		"error":       "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\n\r\n" + fmt.Sprintf("%04xERR %s", len(evil)+8, evil),
		"garbage":     evil,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = c.Write([]byte(answer))
				}
				_ = c.Close()
			}
		}()
		config := filepath.Join(t.TempDir(), "site.yaml")
		text := fmt.Sprintf("site: b\nstate: %s\ncatalog:\n  urls: [\"http://%s/c.git\"]\n", filepath.Join(t.TempDir(), "state"), l.Addr())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := newApp(streams{strings.NewReader(""), &out, &errs}).run(context.Background(), []string{"status", "--config", config})
		_ = l.Close()
		<-done
		said := out.String() + errs.String()
		odd := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
		if code == exitDone || strings.ContainsFunc(said, odd) || !strings.Contains(said, "error:") {
			t.Errorf("%s: exit code %d, %q", name, code, said)
		}
	}
}
