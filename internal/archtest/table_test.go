package archtest

// room is one package: the floor it stands on and the rooms of ours it may
// import. Every one of those must stand on a lower floor.
type room struct {
	floor     int
	mayImport []string
	// testsOnly: a room that only _test.go files (and other such rooms) import.
	testsOnly bool
}

// everything stands for all rooms on lower floors: the verbs join what the
// rooms keep apart.
const everything = "*"

// rooms is the map of the house. A new package starts with a line here.
func rooms() map[string]room {
	return map[string]room{
		"cmd/seedtree":     {floor: 5, mayImport: []string{everything}},
		"cmd/torrent_tree": {floor: 5, mayImport: []string{"builder", "manifests"}},

		"internal/web": {floor: 4, mayImport: []string{"internal/agent", "manifests"}},

		"internal/agent":     {floor: 3, mayImport: []string{"internal/durable", "internal/pulse", "gitsource", "apply", "manifests"}},
		"apply/transmission": {floor: 3, mayImport: []string{"internal/pulse", "apply", "manifests"}},
		"apply/embedded":     {floor: 3, mayImport: []string{"internal/durable", "internal/pulse", "apply", "manifests", "internal/pki", "internal/pieces"}},
		"apply/enginetest":   {floor: 3, mayImport: []string{"apply", "manifests"}, testsOnly: true},

		"gitsource":        {floor: 2, mayImport: []string{"internal/durable", "internal/pulse", "internal/signature", "manifests"}},
		"builder":          {floor: 2, mayImport: []string{"manifests", "internal/pieces", "internal/dirat"}},
		"apply":            {floor: 2, mayImport: []string{"manifests", "internal/pieces", "internal/pulse"}},
		"internal/tracker": {floor: 2, mayImport: []string{"manifests", "internal/pki"}},

		"manifests":          {floor: 1},
		"internal/pki":       {floor: 1},
		"internal/pieces":    {floor: 1, mayImport: []string{"internal/pulse"}},
		"internal/dirat":     {floor: 1},
		"internal/durable":   {floor: 1},
		"internal/signature": {floor: 1},

		"internal/pulse": {floor: 0},

		"internal/testkit":        {floor: 2, mayImport: []string{"manifests"}, testsOnly: true},
		"internal/e2e":            {floor: 3, mayImport: []string{"internal/testkit", "manifests"}, testsOnly: true},
		"internal/e2e/containers": {floor: 3, mayImport: []string{"internal/testkit", "manifests"}, testsOnly: true},

		"internal/bench": {floor: 3, mayImport: []string{"gitsource", "manifests", "internal/pieces"}},

		// A module of its own: not even the build knows it.
		"internal/pieces/avo": {floor: 0},

		"internal/archtest": {floor: 0, testsOnly: true},
	}
}

// foreign lists libraries that one room hides from all others: who else needs
// them is asking the wrong room.
func foreign() map[string][]string {
	return map[string][]string{
		"github.com/go-git/go-git/v5":                           {"gitsource"},
		"github.com/go-git/go-git/v5/plumbing/format/gitignore": {"gitsource", "builder"},
		"github.com/hiddeco/sshsig":                             {"internal/signature"},
		"github.com/ProtonMail/go-crypto":                       {"internal/signature"},
		"github.com/anacrolix":                                  {"apply/embedded"},
		"github.com/hekmon/transmissionrpc":                     {"apply/transmission"},
		"github.com/spf13/cobra":                                {"cmd/seedtree", "cmd/torrent_tree"},
		"github.com/robfig/cron":                                {"internal/agent"},
		"go.yaml.in/yaml":                                       {"manifests", "cmd/seedtree"},
	}
}

// topLevel is what the repository shows at first sight. A dot marks what
// people look past; everything else was asked for by name.
func topLevel() map[string]bool {
	return map[string]bool{
		"cmd": true, "gitsource": true, "builder": true, "apply": true, "manifests": true, "internal": true, "docs": true,
		"go.mod": true, "go.sum": true, "Makefile": true, "Dockerfile": true, "README.md": true,
		"LICENSE": true, "CHANGELOG.md": true,
		".ci": true, ".gitignore": true, ".gitattributes": true, ".dockerignore": true, ".editorconfig": true,
		".git": true, ".cache": true, "bin": true, // never committed
	}
}
