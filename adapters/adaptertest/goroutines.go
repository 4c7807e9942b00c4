package adaptertest

import (
	"regexp"
	"runtime"
	"strings"
)

var goroutineHeader = regexp.MustCompile(`^goroutine \d+ .*\[.*(synctest bubble \d+)\]:`)

// leftBehind is the stack of a goroutine in the caller's bubble that is neither
// the caller's nor one of package testing; empty if there is none.
func leftBehind() string {
	own := goroutineHeader.FindStringSubmatch(ownStack())
	if own == nil {
		return ""
	}
	buffer := make([]byte, 1<<20) // of more there is something to be seen too
	stacks := strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n")
	for _, stack := range stacks[1:] { // the first is the caller's
		m := goroutineHeader.FindStringSubmatch(stack)
		ours := strings.Contains(stack, "testingSynctestTest(") || strings.Contains(stack, "testing/synctest.Test(")
		if m != nil && m[1] == own[1] && !ours {
			return stack
		}
	}
	return ""
}

func ownStack() string {
	buffer := make([]byte, 16<<10)
	return string(buffer[:runtime.Stack(buffer, false)])
}
