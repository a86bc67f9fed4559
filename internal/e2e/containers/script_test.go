//go:build docker

package containers

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// page is where the commands are taken from.
const page = "../../../docs/operating.md"

// script is the page's section on containers: what its shell blocks do, in
// their order.
type script struct {
	functions string // one shell function per site
	folders   string // makes the trees' folders
	join      string // network, init at every site, first build
	agents    string // starts every site
}

// readScript takes the commands from the page and exchanges what must be
// another thing here. Every exchange has to happen: what the page no longer
// says, this test would no longer test.
func readScript(t *testing.T, exchange [][2]string) script {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n### Container\n")
	if !ok {
		t.Fatalf("%s has no section Container", page)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var pairs []string
	for _, e := range exchange {
		pairs = append(pairs, e[0], e[1])
	}
	replacer := strings.NewReplacer(pairs...)
	var blocks []string
	raw := ""
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		raw += m[1]
		blocks = append(blocks, replacer.Replace(m[1]))
	}
	if len(blocks) != 4 {
		t.Fatalf("%s: %d shell blocks on containers, want functions, folders, init and agents", page, len(blocks))
	}
	for _, e := range exchange {
		if !strings.Contains(raw, e[0]) {
			t.Fatalf("%s: the section Container no longer says %q", page, e[0])
		}
	}
	return script{blocks[0], blocks[1], blocks[2], blocks[3]}
}
