package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// partName is where copies into staging grow.
const partName = stagingDir + "/copy.part"

// openPart makes the file that a copy on its way to a name is written to. It
// is on the same file system. Its own name is short, for the final one may be
// as long as names get; and it is nobody else's: beside the final name, in the
// trash say, anything may stand.
func (t *tree) openPart(to string) (*os.File, string, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if strings.HasPrefix(to, stagingDir+"/") {
		_ = t.root.Remove(partName) // of an interrupted pass
		f, err := t.root.OpenFile(partName, flags, 0o666)
		return f, partName, err
	}
	for n := 1; ; n++ {
		part := path.Join(path.Dir(to), fmt.Sprintf("%scopy-%d", tempPrefix, n))
		f, err := t.root.OpenFile(part, flags, 0o666)
		if errors.Is(err, fs.ErrExist) && n < 1000 {
			continue
		}
		return f, part, err
	}
}
