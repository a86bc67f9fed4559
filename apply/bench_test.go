package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// settled is a site in sync with n small files.
func settled(tb testing.TB, n int) (*world, apply.Desired) {
	w := newWorldAt(tb, fastDir(tb))
	entries := make([]manifests.Entry, n)
	for i := range entries {
		f := enginetest.NewFile(tb, "photos", fmt.Sprintf("%04d/sub/%03d.jpg", i/100, i), []byte(fmt.Sprint(i)))
		entries[i] = w.know(f)
		must(tb, os.MkdirAll(filepath.Dir(w.name(string(f.Entry.Path))), 0o755))
		f.Write(tb, w.roots["photos"])
	}
	d := w.want(entries...)
	if r := w.pass(d); !r.Complete {
		tb.Fatalf("%+v", r)
	}
	return w, w.again(d)
}

// BenchmarkPassWithoutWork is what a follower does every few minutes.
func BenchmarkPassWithoutWork(b *testing.B) {
	w, d := settled(b, 10000)
	b.ResetTimer()
	for range b.N {
		o, err := w.site.Observe(b.Context(), d)
		must(b, err)
		p := apply.NewPlan(d, o)
		if p.InSync != 10000 || len(p.Actions) > 0 {
			b.Fatal(p.InSync)
		}
		_, err = w.site.Execute(b.Context(), d, p)
		must(b, err)
	}
}

// BenchmarkPlan is the pure part of it.
func BenchmarkPlan(b *testing.B) {
	w, d := settled(b, 10000)
	o, err := w.site.Observe(b.Context(), d)
	must(b, err)
	b.ResetTimer()
	for range b.N {
		apply.NewPlan(d, o)
	}
}

// BenchmarkFetch is a new follower: everything is added, arrives and is placed.
func BenchmarkFetch(b *testing.B) {
	const n = 5000
	for range b.N {
		b.StopTimer()
		w := newWorldAt(b, b.TempDir())
		entries := make([]manifests.Entry, n)
		for i := range entries {
			entries[i] = w.file(fmt.Sprintf("%04d/sub/%03d.jpg", i/100, i), fmt.Sprint(i))
		}
		d := w.want(entries...)
		b.StartTimer()
		w.pass(d)
		b.StopTimer()
		must(b, w.engine.Feed())
		b.StartTimer()
		if r := w.pass(w.again(d)); !r.Complete {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
