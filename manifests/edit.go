package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// SetMain returns the manifest with another main. Only the name's bytes change.
func SetMain(data []byte, site string) ([]byte, error) {
	e, err := newEditor(data)
	if err != nil {
		return nil, err
	}
	if e.have.Main == site {
		return data, nil
	}
	if err := ValidSiteName(site); err != nil {
		return nil, err
	}
	if _, ok := e.have.Sites[site]; !ok && len(e.have.Sites) > 0 {
		return nil, fmt.Errorf("main: %q is no site; sites are %s", site, strings.Join(sortedKeys(e.have.Sites), ", "))
	}
	e.want.Main = site
	_, value := child(e.root, "main")
	return e.finish("main", e.replaceScalar(value, site))
}

// SetApproved returns the manifest with another approved revision, "" for none.
func SetApproved(data []byte, rev string) ([]byte, error) {
	e, err := newEditor(data)
	if err != nil {
		return nil, err
	}
	if e.have.Prune.Approved == rev {
		return data, nil
	}
	if err := checkRevision(rev); err != nil {
		return nil, err
	}
	e.want.Prune.Approved = rev
	_, prune := child(e.root, "prune")
	if prune == nil {
		return e.finish("prune", e.insert(e.root, "prune: {approved: "+strconv.Quote(rev)+"}"))
	}
	if _, value := child(prune, "approved"); value != nil {
		return e.finish("prune.approved", e.replaceScalar(value, rev))
	}
	return e.finish("prune.approved", e.insert(prune, "approved: "+strconv.Quote(rev)))
}

// AddSite returns the manifest with one more site, behind the last one where
// the file has a line for each. A site that is there with the same spec
// changes nothing; one with another spec is an error.
func AddSite(data []byte, name string, spec SiteSpec) ([]byte, error) {
	e, err := newEditor(data)
	if err != nil {
		return nil, err
	}
	if old, ok := e.have.Sites[name]; ok {
		if old.equal(spec) {
			return data, nil
		}
		return nil, fmt.Errorf("site %q is there already, as %s", name, old.yaml())
	}
	if err := checkSite(name, spec); err != nil {
		return nil, err
	}
	if len(e.have.Sites) == 0 && name != e.have.Main {
		return nil, fmt.Errorf("the manifest lists no sites yet, and main has to be one of them: add %q first", e.have.Main)
	}
	e.want.Sites[name] = spec
	_, sites := child(e.root, "sites")
	pair := yamlWord(name) + ": " + spec.yaml()
	switch {
	case sites != nil:
	case e.root.Style&yaml.FlowStyle != 0:
		return e.finish("sites", e.insert(e.root, "sites: {"+pair+"}"))
	default:
		return e.finish("sites", e.insert(e.root, "sites:"+e.newline+"  "+pair))
	}
	return e.finish("sites", e.insert(sites, pair))
}

// RemoveSite returns the manifest without a site. A site that is not there
// changes nothing; main cannot go.
func RemoveSite(data []byte, name string) ([]byte, error) {
	e, err := newEditor(data)
	if err != nil {
		return nil, err
	}
	if _, ok := e.have.Sites[name]; !ok {
		return data, nil
	}
	if name == e.have.Main {
		return nil, fmt.Errorf("site %q is main: make another site main first", name)
	}
	delete(e.want.Sites, name)
	_, sites := child(e.root, "sites")
	return e.finish("sites", e.remove(sites, name))
}

func checkSite(name string, spec SiteSpec) error {
	if err := ValidSiteName(name); err != nil {
		return err
	}
	if spec.Peer != "" {
		if err := checkPeer(spec.Peer); err != nil {
			return fmt.Errorf("peer of site %q: %w", name, err)
		}
	}
	for _, glob := range slices.Concat(spec.Include, spec.Exclude) {
		if err := checkGlob(glob); err != nil {
			return fmt.Errorf("site %q: %w", name, err)
		}
	}
	return nil
}

func (s SiteSpec) equal(o SiteSpec) bool {
	return s.Peer == o.Peer && slices.Equal(s.Include, o.Include) && slices.Equal(s.Exclude, o.Exclude)
}

// yaml writes the spec as a flow mapping.
func (s SiteSpec) yaml() string {
	var fields []string
	if s.Peer != "" {
		fields = append(fields, "peer: "+strconv.Quote(s.Peer))
	}
	if len(s.Include) > 0 {
		fields = append(fields, "include: "+yamlList(s.Include))
	}
	if len(s.Exclude) > 0 {
		fields = append(fields, "exclude: "+yamlList(s.Exclude))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// yamlList writes a flow sequence. Every escape of Go's quoted strings means
// the same in YAML's (1.2, section 5.7).
func yamlList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// yamlWord writes a name without quotes where every YAML reader takes it for
// a string, and with quotes where one might see a number or a truth value.
func yamlWord(s string) string {
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(s)
	}
	if strings.ContainsFunc(s, odd) || strings.ContainsRune("0123456789-_", rune(s[0])) {
		return strconv.Quote(s)
	}
	return s
}

// editor changes a few bytes of a manifest and proves that nothing but what
// was asked for changed its meaning.
type editor struct {
	data    []byte
	root    *yaml.Node
	have    *Manifest
	want    *Manifest // what the edited file has to say
	newline string
}

func newEditor(data []byte) (*editor, error) {
	root, err := loadNode(data)
	if err != nil {
		return nil, err
	}
	have, r := readManifest(root)
	if err := r.err(); err != nil {
		return nil, err
	}
	want := *have
	want.Sites = maps.Clone(have.Sites)
	e := &editor{data: data, root: root, have: have, want: &want, newline: "\n"}
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		e.newline = "\r\n"
	}
	return e, nil
}

// splice is a replacement of data[from:to]; ok is false where the file is
// written in a way that no safe place was found in.
type splice struct {
	from, to int
	text     string
	ok       bool
}

// finish applies a splice and reads the result: it must say exactly what was
// wanted, else the file is left to a person.
func (e *editor) finish(what string, s splice) ([]byte, error) {
	byHand := func(why string) ([]byte, error) {
		return nil, fmt.Errorf("%s: %s is written in a way that cannot be edited without touching more (%s): edit it by hand", ManifestName, what, why)
	}
	if !s.ok {
		return byHand("unusual layout")
	}
	edited := slices.Concat(e.data[:s.from], []byte(s.text), e.data[s.to:])
	got, err := ParseManifest(edited)
	if err != nil {
		return byHand(err.Error())
	}
	if !reflect.DeepEqual(got.normal(), e.want.normal()) {
		return byHand("more would change than was asked for")
	}
	return edited, nil
}

// normal makes empty and absent lists of sites compare equal.
func (m *Manifest) normal() Manifest {
	n := *m
	n.Sites = make(map[string]SiteSpec, len(m.Sites))
	for name, s := range m.Sites {
		n.Sites[name] = SiteSpec{s.Peer, append([]string{}, s.Include...), append([]string{}, s.Exclude...)}
	}
	return n
}
