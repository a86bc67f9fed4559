package embedded

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
)

func shell(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
}

// TestTransmissionDialsIn: clients that learn of a seed from a tracker dial it,
// with an obfuscated handshake first. It must load what they ask for.
func TestTransmissionDialsIn(t *testing.T) {
	t.Parallel()
	versions := testkit.TransmissionVersions(t)
	if !testkit.Sandbox(t) {
		return
	}
	testkit.Need(t, "ip", "iproute2")
	shell(t, "ip", "link", "set", "lo", "up")
	shell(t, "ip", "addr", "add", "10.77.0.1/32", "dev", "lo")
	for i, v := range versions {
		host := fmt.Sprintf("10.77.1.%d", i+1)
		shell(t, "ip", "addr", "add", host+"/32", "dev", "lo")
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{Listen: "10.77.0.1:0"})
			tr := newFakeTracker(t)
			tr.interval = 2
			f := enginetest.NewFile(t, "photos", "2019/a.raw", enginetest.Random(1, 3<<18+5))
			root, home := treeRoot(t, "photos"), treeRoot(t, "photos")
			f.Write(t, root)
			mustAdd(t, e, complete(f, root)) // without the tracker: it cannot find them
			tr.peers[string(f.Entry.InfoHash[:])] = []string{e.address()}
			d := testkit.StartTransmission(t, testkit.TransmissionOptions{
				Command: v.Command, Address: host,
				Settings: map[string]any{"rpc-whitelist-enabled": false, "download-queue-enabled": false},
			})
			clientAdd(t, d, f, filepath.Dir(home), [][]string{{tr.url()}})
			until(t, "the client has it", func() bool { _, done := clientDone(t, d); return done == 1 })
			requireFile(t, f, home)
		})
	}
}
