package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// stream is one of those side by side: its message, its state as the instructions want it
// (a to d with a on top; e on top of zeros) and the state before this block.
type stream struct {
	from     Register // the next block
	abcd     VecVirtual
	e        [2]VecVirtual // taken in turns
	w        [4]VecVirtual
	state    Register
	was      Mem // abcd before this block
	wasE     Mem
	reversed VecVirtual
}

// one is a stream on its own.
func one(order Mem) {
	TEXT("blocks1", NOSPLIT, "func(state0 *[5]uint32, data0 *byte, blocks int)")
	Pragma("noescape")
	Doc("blocks1 runs the compression function over so many 64-byte blocks of a stream.")
	sha(order, newStream("0"))
}

// two are two streams in turns. On some processors (AMD's) each step waits for
// the one before it, and a second stream fits into the gaps of the first; on
// others (Intel's) the SHA unit is busy with one.
func two(order Mem) {
	TEXT("blocks2", NOSPLIT, "func(state0, state1 *[5]uint32, data0, data1 *byte, blocks int)")
	Pragma("noescape")
	Doc("blocks2 runs the compression function over so many 64-byte blocks of each of two streams.")
	sha(order, newStream("0"), newStream("1"))
}

// newStream loads the parameters with that suffix.
func newStream(n string) *stream {
	return &stream{
		state: Load(Param("state"+n), GP64()), from: Load(Param("data"+n), GP64()),
		abcd: XMM(), e: [2]VecVirtual{XMM(), XMM()}, was: AllocLocal(16), wasE: AllocLocal(16),
		w: [4]VecVirtual{XMM(), XMM(), XMM(), XMM()},
	}
}

// sha runs streams through the SHA instructions to the end of the function.
func sha(order Mem, s ...*stream) {
	count := Load(Param("blocks"), GP64())
	swap := XMM()
	MOVOU(order, swap)
	for _, s := range s {
		s.reversed = swap
		MOVOU(Mem{Base: s.state}, s.abcd)
		PSHUFD(Imm(0x1b), s.abcd, s.abcd)
		PXOR(s.e[0], s.e[0])
		PINSRD(Imm(3), Mem{Base: s.state, Disp: 16}, s.e[0])
	}

	Label("block")
	TESTQ(count, count)
	JZ(LabelRef("done"))
	for _, s := range s {
		MOVOU(s.abcd, s.was)
		MOVOU(s.e[0], s.wasE)
	}
	for group := range 20 {
		for _, s := range s {
			s.fourSteps(group)
		}
	}
	for _, s := range s {
		MOVOU(s.wasE, s.w[0])
		SHA1NEXTE(s.w[0], s.e[0])
		MOVOU(s.was, s.w[1])
		PADDD(s.w[1], s.abcd)
		ADDQ(Imm(64), s.from)
	}
	DECQ(count)
	JMP(LabelRef("block"))

	Label("done")
	for _, s := range s {
		PSHUFD(Imm(0x1b), s.abcd, s.abcd)
		MOVOU(s.abcd, Mem{Base: s.state})
		PEXTRD(Imm(3), s.e[0], Mem{Base: s.state, Disp: 16})
	}
	RET()
}

// fourSteps runs steps 4*group to 4*group+3, and the part of the message
// schedule that the words of these steps allow.
func (s *stream) fourSteps(group int) {
	word := func(g int) VecVirtual { return s.w[g%4] }
	now, e, next := word(group), s.e[group%2], s.e[1-group%2]
	if group < 4 {
		MOVOU(Mem{Base: s.from, Disp: 16 * group}, now)
		PSHUFB(s.reversed, now)
	}
	if group == 0 {
		PADDD(now, e)
	} else {
		SHA1NEXTE(now, e)
	}
	MOVOU(s.abcd, next)
	if group >= 3 && group <= 18 {
		SHA1MSG2(now, word(group-3))
	}
	SHA1RNDS4(Imm(uint64(group/5)), e, s.abcd)
	if group >= 1 && group <= 16 {
		SHA1MSG1(now, word(group-1))
	}
	if group >= 2 && group <= 17 {
		PXOR(now, word(group-2))
	}
}

// wordOrder is the shuffle that turns big-endian words around and puts the
// first on top.
func wordOrder() Mem {
	m := GLOBL("wordOrder", RODATA|NOPTR)
	for i := range 16 {
		DATA(i, U8(15-i))
	}
	return m
}
