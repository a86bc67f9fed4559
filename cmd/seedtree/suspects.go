package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// suspectFile is a file that looks rotten, and what helps to decide whether it is.
type suspectFile struct {
	Path        string    `json:"path"`
	Bytes       int64     `json:"bytes"`
	ModTime     time.Time `json:"modTime"`
	ListedSince time.Time `json:"listedSince"` // with the bytes that are missed now
	Revision    string    `json:"revision"`    // that listed them
	Sites       []string  `json:"sites"`       // that hold the good bytes, by their last word
	Copies      []string  `json:"copies"`      // listed elsewhere at main with the same good bytes
}

// maxExplained bounds the suspects that are looked up in history.
const maxExplained = 100

// parseAccept reads what --accept names.
func parseAccept(names []string, m *manifests.Manifest) ([]manifests.Key, error) {
	var keys []manifests.Key
	for _, name := range names {
		tree, path, _ := strings.Cut(strings.TrimRight(name, "/"), "/")
		if _, ok := m.Trees[tree]; !ok {
			return nil, fmt.Errorf("--accept %s: no tree is named %q; the manifest has %s", shown(name), tree, strings.Join(sortedKeys(m.Trees), ", "))
		}
		k := manifests.Key{Tree: tree}
		if path != "" {
			p, err := manifests.ParsePath(path)
			if err != nil {
				return nil, fmt.Errorf("--accept %s: %w", shown(name), err)
			}
			k.Path = p
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// suspected looks up what is known of files that look rotten: since when they
// are listed and who has their good bytes.
func suspected(ctx context.Context, src *gitsource.Source, head *gitsource.Revision, m *manifests.Manifest,
	listed *manifests.Listing, found []builder.Suspect,
) ([]suspectFile, error) {
	if len(found) == 0 {
		return nil, nil
	}
	log, err := src.Log(ctx, head.ID(), logDepth)
	if err != nil {
		return nil, err
	}
	complete := completeListings(ctx, src, head, listed)
	rotten := map[manifests.Key]bool{}
	for _, s := range found {
		rotten[s.Entry.Key()] = true
	}
	var files []suspectFile
	for i, s := range found {
		e := s.Entry
		f := suspectFile{Path: e.Key().String(), Bytes: e.Length, ModTime: e.ModTime, Sites: []string{}, Copies: []string{}}
		for _, site := range sortedKeys(complete) {
			if site != m.Main && m.Includes(site, e) && complete[site].HasContent(e.Content) {
				f.Sites = append(f.Sites, site)
			}
		}
		for _, twin := range listed.ByContent(e.Content) {
			if !rotten[twin.Key()] {
				f.Copies = append(f.Copies, twin.Key().String())
			}
		}
		if i < maxExplained {
			since := listedSince(ctx, log, e)
			f.ListedSince, f.Revision = since.Time, since.ID()
		}
		files = append(files, f)
	}
	return files, ctx.Err()
}

// completeListings returns what each site held by its last report. A site that
// cannot be asked about is left out: this only helps to find good bytes.
func completeListings(ctx context.Context, src *gitsource.Source, head *gitsource.Revision, now *manifests.Listing) map[string]*manifests.Listing {
	reports, err := src.Statuses(ctx)
	if err != nil {
		return nil
	}
	known := map[string]*manifests.Listing{head.ID(): now}
	sites := map[string]*manifests.Listing{}
	for site, data := range reports {
		s, err := manifests.DecodeStatus(data)
		if err != nil || s.Complete == "" {
			continue
		}
		if _, ok := known[s.Complete]; !ok {
			known[s.Complete] = nil
			if r, err := src.Revision(ctx, s.Complete); err == nil {
				known[s.Complete], _ = r.Listing(ctx)
			}
		}
		if known[s.Complete] != nil {
			sites[site] = known[s.Complete]
		}
	}
	return sites
}

// listedSince returns the oldest revision of a history, newest first, from
// which on an entry was listed with the same bytes.
func listedSince(ctx context.Context, log []*gitsource.Revision, e manifests.Entry) *gitsource.Revision {
	since := log[0]
	for _, r := range log {
		data, err := r.Metainfo(ctx, e)
		if err != nil {
			break
		}
		if m, err := manifests.DecodeMetainfo(data); err != nil || m.Content() != e.Content {
			break
		}
		since = r
	}
	return since
}

// rotten is the error of a build that found files that look rotten. It has to
// be enough for somebody who never thought about this before.
func (r *buildReport) rotten() error {
	if len(r.Suspected) == 0 {
		return nil
	}
	const some = 20
	var b strings.Builder
	for i, f := range r.Suspected {
		if i == some {
			fmt.Fprintf(&b, "\n  and %s more (-o json lists all)", comma(len(r.Suspected)-i))
			break
		}
		b.WriteString("\n  " + shown(f.Path) + f.where())
	}
	return &hinted{
		fmt.Errorf("%w: %s changed without a new size or modification time, as files do on a failing disk; the catalog keeps listing the good bytes%s",
			errPartial, files(len(r.Suspected)), b.String()),
		[]string{
			"if that is rot: look after the disk, put the good bytes back with their old time (cp -p, rsync -t), then build --rehash again",
			fmt.Sprintf("if it is meant: seedtree build --accept %s   commits the bytes that are there now", shellWord(r.Suspected[0].Path)),
		},
	}
}

// where says since when a file is listed and where its good bytes are.
func (f suspectFile) where() string {
	text := ""
	if f.Revision != "" {
		text = fmt.Sprintf(": listed since %s (%.12s)", f.ListedSince.UTC().Format(time.DateOnly), f.Revision)
	}
	has := slices.Clone(f.Sites)
	for i, site := range has {
		has[i] = "site " + site
	}
	for _, c := range f.Copies {
		has = append(has, shown(c)+" here")
	}
	if len(has) == 0 {
		return text + "; no site has said that it holds the good bytes"
	}
	return text + "; good bytes: " + strings.Join(has, ", ")
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return comma(n) + " files"
}

// shellWord writes a name so that it can be pasted behind a command.
func shellWord(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
