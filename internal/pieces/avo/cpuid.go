package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// cpuid asks for the one feature that golang.org/x/sys/cpu does not report.
func cpuid() {
	TEXT("features7", NOSPLIT, "func() uint32")
	Doc("features7 returns EBX of CPUID leaf 7, 0 where there is no such leaf.")
	XORL(EAX, EAX)
	CPUID()
	XORL(EBX, EBX)
	CMPL(EAX, I8(7))
	JB(LabelRef("none"))
	MOVL(U32(7), EAX)
	XORL(ECX, ECX)
	CPUID()
	Label("none")
	Store(EBX, ReturnIndex(0))
	RET()
}
