// Command avo writes the assembly of package pieces: SHA-1 (FIPS 180-4) over
// several independent streams at once. `go generate` runs it; it is a module
// of its own, so that nobody needs the assembler to build the program.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("amd64,!purego")
	sixteen()
	order := wordOrder()
	one(order)
	two(order)
	cpuid()
	Generate()
}
