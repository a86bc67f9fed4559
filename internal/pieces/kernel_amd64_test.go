//go:build amd64 && !purego

package pieces

import "golang.org/x/sys/cpu"

// hiddenChoices are kernels for other machines that run on this one as well.
func hiddenChoices() []choice {
	if !cpu.X86.HasAVX512F || !cpu.X86.HasAVX512BW {
		return nil
	}
	always := func(few int) func() kernel {
		return func() kernel { return wideWith(couple, few) }
	}
	all := []choice{{"avx512-without-sha", newWideKernelWithoutSHA}, {"avx512-only", always(0)}}
	if hasSHA() {
		all = append(all, choice{"avx512-never", always(wide)})
	}
	return all
}
