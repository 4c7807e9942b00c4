package redact

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxResult is the longest text that Text returns, in bytes.
	maxResult = 2 << 10
	// maxInput is how much of its argument Text reads, in bytes.
	maxInput = 16 << 10

	cutMark = " [cut]"
)

// Text makes a text from outside, such as a provider's error message, fit for a
// log line: valid UTF-8, one line without control or formatting characters, at
// most 2 KiB (a longer one ends in "[cut]"), and "[redacted]" in place of what
// looks like a credential:
//
//   - the user information of a URL,
//   - the value of a query, form, JSON or header field whose name holds token,
//     secret, password, key, auth or the like; code counts in queries and forms
//     only, because in JSON it is the usual name of an error code,
//   - what follows the word Bearer, and JSON web tokens,
//   - the secret in the path of a Bitrix24 webhook URL, /rest/<digits>/<secret>/.
//
// It masks too much rather than too little. It cannot know a secret that stands
// alone in a sentence: use a [Redactor] first for the secrets that are known.
func Text(s string) string {
	s, cut := shorten(s)
	s = strings.Map(printable, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(mask(s))
	if !cut && len(s) <= maxResult {
		return s
	}
	end := min(len(s), maxResult-len(cutMark))
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark
}

// shorten bounds the work. It cuts before a word: half a URL would not be
// recognised as one.
func shorten(s string) (string, bool) {
	if len(s) <= maxInput {
		return s, false
	}
	s = s[:maxInput]
	return s[:strings.LastIndexAny(s, " \t\r\n\"'<>")+1], true
}

// printable turns what could break or disguise a log line into a space.
func printable(r rune) rune {
	if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
		return ' '
	}
	return r
}

// Colons and slashes also come escaped: `\/` in JSON as PHP writes it, %2F in a
// URL inside a query.
const (
	colon = `(?::|%3[Aa])`
	slash = `(?:\\*/|%2[Ff])`
)

// masks are applied in order. What groups 1 and 2 match is kept before and after
// the marker.
var masks = [...]*regexp.Regexp{
	// User information: //user:password@
	regexp.MustCompile(`(` + slash + `{2})[^/?#\s"'<>\\]*(@|%40)`),
	// Bitrix24 (sheet 1.1 and 2.7): /rest/1/secret/ and /rest/api/1/secret/
	regexp.MustCompile(`((?i:rest)` + slash + `(?:api` + slash + `)?\d+` + slash + `)[^/?#&\s"'<>\\%]+`),
	// JSON web tokens
	regexp.MustCompile(`()\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*`),
	// Bearer ...
	regexp.MustCompile(`(?i)(\bbearer(?:\s|\+|%20)+)[^\s"',;<>\\]+`),
}

func mask(s string) string {
	for _, pattern := range masks {
		s = pattern.ReplaceAllString(s, "${1}"+marker+"${2}")
	}
	return maskFields(s)
}
