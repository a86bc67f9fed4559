package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"seedtree/internal/pieces"
)

// machine describes where this runs, without its name.
func machine() string {
	cpu := runtime.GOARCH
	if info, err := os.Open("/proc/cpuinfo"); err == nil {
		defer info.Close()
		for lines := bufio.NewScanner(info); lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := runtime.GOOS
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel += " " + strings.TrimSpace(string(release))
	}
	load := ""
	if avg, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load at the start " + strings.Fields(string(avg))[0]
	}
	return fmt.Sprintf("%s, %d cores, %s, %s%s. Files in the page cache.\n", cpu, runtime.NumCPU(), kernel, runtime.Version(), load)
}

// limits is how fast one core is at the parts, per second of its CPU time.
func (l *lab) limits() string {
	l.say("limits of this machine")
	buf := make([]byte, mib)
	rows := [][]string{{"read from the page cache, 1 MiB at a time", l.pread(buf)}}
	rows = append(rows, []string{"crypto/sha1 in memory", rate(func() int64 { sha1.Sum(buf); return mib })})
	for _, k := range []struct{ kernel, name string }{
		{"plain", "our scheduler with crypto/sha1"},
		{"shani", "our scheduler with two SHA-NI streams"},
		{"", "our scheduler with the best kernel here"},
	} {
		if pieces.CheckVariable(k.kernel) == nil {
			rows = append(rows, []string{k.name + ", in memory", l.kernel(k.kernel)})
		}
	}
	return "### One core's limits\n\n" + table([]string{"", "GB/s"}, rows)
}

// rate repeats something for a while and returns the best GB per CPU second.
func rate(once func() int64) string {
	const spans = 5
	var best float64
	for range spans {
		from, _ := own()
		var n int64
		spent := time.Duration(0)
		for begun := time.Now(); time.Since(begun) < 100*time.Millisecond; {
			n += once()
			now, _ := own()
			spent = now - from
		}
		best = max(best, float64(n)/1e9/max(spent, time.Microsecond).Seconds())
	}
	return fmt.Sprintf("%.1f", best)
}

func (l *lab) pread(buf []byte) string {
	name := filepath.Join(l.dir, "pread")
	f, err := os.Create(name)
	for off := int64(0); off < 64*mib && err == nil; off += mib {
		_, err = f.WriteAt(buf, off)
	}
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	return rate(func() int64 {
		for off := int64(0); off < 64*mib; off += mib {
			if _, err := f.ReadAt(buf, off); err != nil {
				return 0
			}
		}
		return 64 * mib
	})
}

// kernel hashes pieces that are in memory, with one worker.
func (l *lab) kernel(name string) string {
	before, had := os.LookupEnv(pieces.Variable)
	defer func() {
		_ = os.Unsetenv(pieces.Variable)
		if had {
			_ = os.Setenv(pieces.Variable, before)
		}
	}()
	if err := os.Setenv(pieces.Variable, name); err != nil {
		return err.Error()
	}
	pool := pieces.New(1)
	f := &pieces.File{Name: "memory", Length: 64 * mib, PieceLength: 256 * kib, Open: func() (pieces.Handle, error) { return memory{}, nil }}
	return rate(func() int64 {
		n := f.Length
		err := pool.Hash(context.Background(), slices.Values([]*pieces.File{f}), func(_ *pieces.File, s pieces.Sum) {
			if s.Err != nil {
				n = 0
			}
		})
		if err != nil {
			n = 0
		}
		return n
	})
}

// memory is a file of 64 MiB of whatever is in the buffers.
type memory struct{}

func (memory) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (memory) Stat() (fs.FileInfo, error)            { return memoryInfo{}, nil }
func (memory) Close() error                          { return nil }

type memoryInfo struct{ fs.FileInfo }

func (memoryInfo) Size() int64        { return 64 * mib }
func (memoryInfo) Mode() fs.FileMode  { return 0o644 }
func (memoryInfo) ModTime() time.Time { return time.Unix(0, 0) }
func (memoryInfo) Sys() any           { return nil }
func (memoryInfo) IsDir() bool        { return false }
func (memoryInfo) Name() string       { return "memory" }

// gitCommand runs git without anybody's settings.
func gitCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	return c
}
