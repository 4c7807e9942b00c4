// Package redact keeps credentials out of texts that people read: errors, logs,
// audit entries.
//
// A [Redactor] knows the secrets in play and removes them in whatever encoding
// they appear. [Text] knows no secret and masks what looks like one in a text
// from outside. [Error] takes the URL out of an error of net/http.
//
// Redact before you shorten: the first half of a secret that was cut in two is
// not recognised.
package redact

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// marker takes the place of each secret.
	marker = "[redacted]"
	// minSecret is the shortest secret that is looked for, in bytes. Shorter
	// ones are part of ordinary words.
	minSecret = 4
	// maxText is the longest text that is searched, in bytes.
	maxText = 64 << 10
	// maxLayers is how many encodings around each other are taken off, for
	// example base64 inside a URL.
	maxLayers = 2
)

// Redactor removes known secrets from texts. Make one with [New]. A nil
// Redactor changes nothing. It may be used by several goroutines at once, and
// printing it does not show the secrets, which a closure holds.
type Redactor struct {
	redact func(string) string
}

// New returns a Redactor for the given secrets. Secrets shorter than 4 bytes
// are ignored: they would match in ordinary words.
func New(secrets ...string) *Redactor {
	var needles []string
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		needles = append(needles, secret)
		if !utf8.ValidString(secret) { // encoding/json writes U+FFFD for each wrong byte
			needles = append(needles, string([]rune(secret)))
		}
	}
	return &Redactor{func(s string) string { return hide(s, needles) }}
}

// String returns s with every occurrence of every secret replaced by
// "[redacted]". It finds a secret as it is and in these encodings, also in two
// of them around each other and inside a longer encoded value: URL escapes
// (query and path), base64 (standard and URL alphabet, with or without
// padding), hex, JSON and Go string escapes, and lists of its bytes in decimal
// or hex as fmt prints a []byte. It cannot find an escaped secret right after a
// lone "%" or backslash that turns its first bytes into another escape.
//
// A text over 64 KiB is not searched but replaced as a whole.
func (r *Redactor) String(s string) string {
	if r == nil || r.redact == nil {
		return s
	}
	return r.redact(s)
}

func hide(s string, needles []string) string {
	if len(needles) == 0 {
		return s
	}
	if len(s) > maxText {
		return fmt.Sprintf("[redacted %d bytes]", len(s))
	}
	shortest := len(needles[0])
	for _, n := range needles {
		shortest = min(shortest, len(n))
	}
	search := search{needles: needles, shortest: shortest, secret: make([]bool, len(s))}
	search.in(view{text: s}, maxLayers)
	return search.replace(s)
}

// search collects which bytes of the original text belong to a secret.
type search struct {
	needles  []string
	shortest int
	secret   []bool
	found    bool
}

// in looks for the needles in v and in what v decodes to, up to layers deep.
func (s *search) in(v view, layers int) {
	for _, needle := range s.needles {
		s.mark(v, needle)
	}
	if layers == 0 {
		return
	}
	for _, decode := range decoders {
		decode(v.text, s.shortest, func(inner view) { s.in(inner.within(v), layers-1) })
	}
}

// mark marks every occurrence of needle in v, overlapping ones too. What lies
// between the decoded bytes, such as the commas of a list, is marked as well.
func (s *search) mark(v view, needle string) {
	marked := 0 // where in the original text the last occurrence ended
	for at := 0; ; at++ {
		i := strings.Index(v.text[at:], needle)
		if i < 0 {
			return
		}
		at += i
		from, _ := v.origin(at)
		_, to := v.origin(at + len(needle) - 1)
		for k := max(from, marked); k < to; k++ {
			s.secret[k] = true
		}
		marked = to
		s.found = true
	}
}

// replace returns text with each run of marked bytes replaced by the marker.
func (s *search) replace(text string) string {
	if !s.found {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && s.secret[i] == s.secret[start] {
			i++
		}
		if s.secret[start] {
			out.WriteString(marker)
		} else {
			out.WriteString(text[start:i])
		}
	}
	return out.String()
}
