package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// MarkerName is where the marker stands below a tree root. A root without it
// is an unmounted drive or a stranger's folder: nothing is read or changed there.
const MarkerName = PrivateDir + "/marker.json"

// Roles a marker can give to a tree root.
const (
	RoleSource = "source" // main's own files: read, never written
	RoleCopy   = "copy"   // a follower's files: made to match the listing
)

// maxMarker bounds what DecodeMarker reads, in bytes.
const maxMarker = 4096

// Marker says which tree of which site a folder holds, and whether its files
// are the truth or a copy of it.
type Marker struct {
	Tree string `json:"tree"`
	Site string `json:"site"`
	Role string `json:"role"`
	// Applied is the last revision that was applied here, a full commit id. It is how
	// a site that lost its state knows an old catalog for one.
	Applied string `json:"applied,omitempty"`
}

// Encode returns the marker's file: one JSON object and a newline.
func (m Marker) Encode() []byte {
	b, _ := json.Marshal(m) // strings cannot fail
	return append(b, '\n')
}

// DecodeMarker reads a marker and refuses unknown keys, unknown roles and
// names that no manifest could hold.
func DecodeMarker(data []byte) (Marker, error) {
	var m Marker
	if len(data) > maxMarker {
		return m, fmt.Errorf("marker: %d bytes, at most %d are read", len(data), maxMarker)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Marker{}, fmt.Errorf("marker: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Marker{}, fmt.Errorf("marker: something follows the JSON object")
	}
	if err := ValidTreeName(m.Tree); err != nil {
		return Marker{}, fmt.Errorf("marker: %w", err)
	}
	if err := ValidSiteName(m.Site); err != nil {
		return Marker{}, fmt.Errorf("marker: %w", err)
	}
	if m.Role != RoleSource && m.Role != RoleCopy {
		return Marker{}, fmt.Errorf("marker: role %q is neither %q nor %q", m.Role, RoleSource, RoleCopy)
	}
	if a := m.Applied; a != "" && (len(a) != 40 || strings.Trim(a, "0123456789abcdef") != "") {
		return Marker{}, fmt.Errorf("marker: applied %q is no full commit id", a)
	}
	return m, nil
}
