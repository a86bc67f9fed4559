package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sixteen hashes one stream in each 32-bit column of the AVX-512 registers. It
// keeps the states in registers from the first block to the last and adds them
// up in memory, where only busy lanes are stored.
func sixteen() {
	TEXT("blocks16", NOSPLIT, "func(state *[5][16]uint32, data *[16]*byte, blocks int, busy uint16)")
	Pragma("noescape")
	Doc("blocks16 runs the compression function over so many 64-byte blocks of each of sixteen streams.",
		"state[i][s] is word i of stream s; it is left alone unless bit s of busy is set.",
		"Every pointer, also that of an idle stream, must have 64*blocks readable bytes.")
	state := Load(Param("state"), GP64())
	data := Load(Param("data"), GP64())
	count := Load(Param("blocks"), GP64())
	mask := Load(Param("busy"), GP32())
	KMOVW(mask, K1) // not a virtual register: K0 would mean no mask
	offset := GP64()
	XORQ(offset, offset)

	swap := ZMM()
	VMOVDQU32(swapOrder(), swap)
	k := make([]VecVirtual, 4)
	for i, c := range []uint32{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6} {
		k[i] = ZMM()
		VPBROADCASTD(constant(fmt.Sprintf("round%d", i), c), k[i])
	}
	v := make([]VecVirtual, 5)
	for i := range v {
		v[i] = ZMM()
		VMOVDQU32(Mem{Base: state, Disp: 64 * i}, v[i])
	}

	Label("block")
	TESTQ(count, count)
	JZ(LabelRef("done"))
	w := transposed(data, offset, swap)
	rounds(v, w, k)
	for i := range v {
		VPADDD(Mem{Base: state, Disp: 64 * i}, v[i], v[i])
		VMOVDQU32(v[i], K1, Mem{Base: state, Disp: 64 * i})
	}
	ADDQ(Imm(64), offset)
	DECQ(count)
	JMP(LabelRef("block"))

	Label("done")
	VZEROUPPER()
	RET()
}

// transposed loads one block of each stream and turns the sixteen rows into
// the sixteen message words, byte-swapped.
func transposed(data, offset Register, swap VecVirtual) []VecVirtual {
	r := make([]VecVirtual, 16)
	for i := range r {
		p := GP64()
		MOVQ(Mem{Base: data, Disp: 8 * i}, p)
		r[i] = ZMM()
		VMOVDQU32(Mem{Base: p, Index: offset, Scale: 1}, r[i])
		VPSHUFB(swap, r[i], r[i])
	}
	for i := 0; i < 16; i += 2 {
		r[i], r[i+1] = pair(VPUNPCKLDQ, VPUNPCKHDQ, r[i], r[i+1])
	}
	for g := 0; g < 16; g += 4 {
		a, b := pair(VPUNPCKLQDQ, VPUNPCKHQDQ, r[g], r[g+2])
		c, d := pair(VPUNPCKLQDQ, VPUNPCKHQDQ, r[g+1], r[g+3])
		r[g], r[g+1], r[g+2], r[g+3] = a, b, c, d
	}
	// What is left is a 4 by 4 transpose of 128-bit lanes for each word of a lane.
	w := make([]VecVirtual, 16)
	for c := range 4 {
		x, x1 := lanes(r[c], r[4+c])
		y, y1 := lanes(r[8+c], r[12+c])
		w[c], w[8+c] = lanes(x, y)
		w[4+c], w[12+c] = lanes(x1, y1)
	}
	return w
}

// pair applies two shuffles to the same operands with one register more than
// it is given.
func pair(low, high func(ops ...Op), a, b VecVirtual) (VecVirtual, VecVirtual) {
	t := ZMM()
	low(b, a, t)
	high(b, a, b)
	return t, b
}

// lanes picks the even and the odd 128-bit lanes of a and b.
func lanes(a, b VecVirtual) (VecVirtual, VecVirtual) {
	t := ZMM()
	VSHUFI32X4(Imm(0x88), b, a, t)
	VSHUFI32X4(Imm(0xdd), b, a, b)
	return t, b
}

// Truth tables of VPTERNLOGD for the round functions, b c d from the top bit.
const (
	choose   = 0xca
	parity   = 0x96
	majority = 0xe8
)

// rounds runs the eighty steps on v, the working variables a to e.
func rounds(v, w, k []VecVirtual) {
	functions := [4]uint64{choose, parity, majority, parity}
	a, b, c, d, e := v[0], v[1], v[2], v[3], v[4]
	f, r := ZMM(), ZMM()
	for t := range 80 {
		word := w[t%16]
		if t >= 16 {
			VPXORD(w[(t+13)%16], word, word)
			VPTERNLOGD(Imm(parity), w[(t+8)%16], w[(t+2)%16], word)
			VPROLD(Imm(1), word, word)
		}
		VPADDD(k[t/20], e, e)
		VPADDD(word, e, e)
		VMOVDQA32(b, f)
		VPTERNLOGD(Imm(functions[t/20]), d, c, f)
		VPROLD(Imm(5), a, r)
		VPADDD(f, e, e)
		VPADDD(r, e, e)
		VPROLD(Imm(30), b, b)
		a, b, c, d, e = e, a, b, c, d
	}
	// Eighty steps are sixteen turns of five names, so all are back in place.
}

// swapOrder is the shuffle that turns big-endian words around.
func swapOrder() Mem {
	m := GLOBL("swapOrder", RODATA|NOPTR)
	for i := range 64 {
		DATA(i, U8(i%16/4*4+3-i%4))
	}
	return m
}

func constant(name string, c uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	DATA(0, U32(c))
	return m
}
