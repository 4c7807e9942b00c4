package enlace

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value that must not be printed. It shows as "[redacted]" in fmt
// (every verb, any nesting), slog, JSON and text; only Reveal gives the value.
//
// The value stands behind a function: fmt and reflection see a function pointer
// where a string or bytes in a field would have shown their content.
// The zero Secret is empty. Secrets are not comparable with ==; use Equal.
type Secret struct {
	reveal func() string
}

// NewSecret hides s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return s }}
}

// Reveal returns the value. Keep it in a local variable and pass it on; do not
// put it into a struct, an error or a log line.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero says whether the secret is empty.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal compares in constant time. Two empty secrets are not equal: nothing
// proves nothing.
func (s Secret) Equal(other Secret) bool {
	if s.IsZero() || other.IsZero() {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements fmt.Formatter, so that no verb shows the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler; JSON and XML use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements encoding.TextUnmarshaler, so that a request body can
// bring a secret in. The redacted form is refused: it never was a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("enlace: this is the redacted form of a secret, not a secret")
	}
	*s = NewSecret(string(text))
	return nil
}
