package zapsigntest

import (
	"fmt"
	"unicode/utf16"
)

// appendEscaped appends characters as \u escapes, in pairs where one is not enough.
func appendEscaped(dst []byte, text string) []byte {
	for _, char := range text {
		if char < 0x10000 {
			dst = fmt.Appendf(dst, `\u%04x`, char)
			continue
		}
		high, low := utf16.EncodeRune(char)
		dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
	}
	return dst
}
