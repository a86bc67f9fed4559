package dirat

import "testing"

// A file system that returns garbage gets an error, not a crash.
func FuzzParse(f *testing.F) {
	record := []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x08abc\x00\x00")
	f.Add(record)
	f.Add(append(record, record...))
	f.Add(record[:20])
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08abc\x00\x00"))
	f.Fuzz(func(t *testing.T, records []byte) {
		var n Names
		err := n.parse(records)
		for i := range n.Len() {
			if len(n.At(i)) > len(records) {
				t.Fatalf("%d bytes of name out of %d, %v", len(n.At(i)), len(records), err)
			}
		}
	})
}
