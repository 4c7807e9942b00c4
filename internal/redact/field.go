package redact

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// tellingWords make a field secret when its name holds one of them.
var tellingWords = [...]string{
	"token", "secret", "passw", "pwd", "key", "auth", "signature", "credential",
	"cookie", "session", "verifier", "assertion", "jwt",
}

// tellingParameters are secret in queries and forms only. In JSON, code is the
// usual name of an error code.
var tellingParameters = []string{"code", "device_code", "user_code", "sig"}

// maxName is how far back from its separator a field name is read, in bytes.
const maxName = 64

// quoted is a string in quotes, which may themselves be escaped.
const quoted = `\\+"(?:[^"\\]|\\+[^"\\])*(?:\\+")?|"(?:[^"\\]|\\.)*"?|'[^']*'?`

// The values of each kind of field. What group 1 matches is kept.
var (
	parameterValue = regexp.MustCompile(`^()(?:` + quoted + `|[^\s"'&;,<>]+)`)
	memberValue    = regexp.MustCompile(`^(\s*)(?:` + quoted + `|\[[^\]]*\]?|[^\s"',;{}\[\\]+)`)
	headerValue    = regexp.MustCompile(`^((?i:\s*(?:(?:basic|bearer|token|oauth|digest|bot)\s+)?))[^\s"',;<>]+`)
)

// maskFields replaces the values of telling fields: name=value in queries and
// forms, "name": value in JSON, Name: value in headers.
func maskFields(s string) string {
	var out strings.Builder
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		size := separator(s[i:])
		if size == 0 {
			i++
			continue
		}
		value := valueAfter(s[done:i], s[i] == ':')
		i += size
		if value == nil {
			continue
		}
		if match := value.FindStringSubmatchIndex(s[i:]); match != nil {
			out.WriteString(s[done : i+match[3]])
			out.WriteString(marker)
			done = i + match[1]
			i = done
		}
	}
	out.WriteString(s[done:])
	return out.String()
}

// separator returns the length of the separator at the start of s, or 0.
func separator(s string) int {
	switch {
	case s[0] == '=' || s[0] == ':':
		return 1
	case len(s) >= 3 && strings.EqualFold(s[:3], "%3D"):
		return 3
	}
	return 0
}

// valueAfter returns how the value reads that follows the field name at the end
// of before, or nil when it need not be masked.
func valueAfter(before string, colon bool) *regexp.Regexp {
	if !colon {
		if name := lastName(before); telling(name) || slices.Contains(tellingParameters, lastWord(name)) {
			return parameterValue
		}
		return nil
	}
	before = strings.TrimRight(before, " ")
	if unquoted := strings.TrimRight(before, `"'\`); unquoted != before {
		if telling(lastName(unquoted)) {
			return memberValue
		}
		return nil
	}
	name := lastName(before)
	if strings.HasSuffix(name, "authorization") || strings.HasSuffix(name, "cookie") ||
		strings.HasPrefix(name, "x-") && telling(name) {
		return headerValue
	}
	return nil
}

// lastName returns the field name at the end of s in lower case, without URL
// escapes.
func lastName(s string) string {
	start := len(s)
	for start > 0 && len(s)-start < maxName && isName(s[start-1]) {
		start--
	}
	name := strings.ToLower(s[start:])
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

// lastWord returns the last part of a name such as auth[code] or x.code.
func lastWord(name string) string {
	name = strings.TrimRight(name, "]")
	return name[strings.LastIndexAny(name, "?&[].-")+1:]
}

func telling(name string) bool {
	return slices.ContainsFunc(tellingWords[:], func(word string) bool { return strings.Contains(name, word) })
}

func isName(c byte) bool {
	return isWord(c) || strings.IndexByte("_.-[]%", c) >= 0
}
