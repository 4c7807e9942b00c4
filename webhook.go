package enlace

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// WebhookReceiver takes the provider's events. Without it the integration has no
// webhook address.
type WebhookReceiver interface {
	// Verifier says how the provider proves itself; never nil. An adapter
	// declares the proof and does not write the comparison.
	Verifier() Verifier
	// ParseWebhook turns a verified delivery into events. It makes no requests
	// and must bear any body: it is called with what the sender chose.
	ParseWebhook(ctx context.Context, d Delivery) ([]Event, error)
}

// WebhookRegistrar tells the provider where to deliver. Without it a person
// enters the address at the provider.
type WebhookRegistrar interface {
	// EnsureWebhook makes the provider deliver to target with the secret as
	// proof; if it does already, nothing changes.
	EnsureWebhook(ctx context.Context, c *Conn, target string, secret Secret) error
	// RemoveWebhook stops deliveries to target; it is no error if there are none.
	RemoveWebhook(ctx context.Context, c *Conn, target string) error
}

// WebhookChallenger answers the request with which some providers check an
// address before they use it. Without it such a request is an ordinary delivery.
type WebhookChallenger interface {
	// AnswerChallenge writes the answer and returns true, or returns false and
	// writes nothing if the request is no challenge.
	AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool
}

// Delivery is one incoming webhook request as it came.
type Delivery struct {
	Ref        Ref
	Method     string
	URL        *url.URL
	Header     http.Header
	Body       []byte
	ReceivedAt time.Time
}

// Event is what a delivery says happened.
type Event struct {
	ID      string // the provider's id of the event; empty if it has none
	Type    string // the provider's name of what happened
	Record  Record // whom it concerns; Data is nil where the delivery is only a hint
	At      time.Time
	Payload json.RawMessage // the provider's own JSON, if it is JSON
}

// Verifier is a way to prove where a delivery comes from. The implementations
// are [HMACVerifier], [TokenVerifier] and [Unverified].
type Verifier interface {
	// Verify returns nil if one of the secrets proves the delivery, and an error
	// that matches ErrSignature otherwise: always the same, without a computed
	// value. Empty secrets prove nothing.
	Verify(d Delivery, secrets []Secret) error
}

// HMACVerifier checks an HMAC-SHA256 over the body in a header.
type HMACVerifier struct {
	Header string
	Prefix string // that precedes the signature in the header, such as "sha256="
	Base64 bool   // the signature is base64, not hex
	// MinSecret is how long a secret must be, in bytes; shorter ones prove nothing,
	// since they can be guessed from one delivery. 0 is 16. Lower it, to 14 at the
	// least, only for a provider that issues shorter ones.
	MinSecret int
}

// minHMACSecret is what FIPS 140 demands of a key.
const minHMACSecret = 14

// Verify implements Verifier.
func (v HMACVerifier) Verify(d Delivery, secrets []Secret) error {
	values := d.Header.Values(v.Header)
	if len(values) != 1 || len(values[0]) > 4096 {
		return ErrSignature
	}
	text, ok := strings.CutPrefix(values[0], v.Prefix)
	if !ok {
		return ErrSignature
	}
	decode := hex.DecodeString
	if v.Base64 {
		decode = base64.StdEncoding.DecodeString
	}
	given, err := decode(text)
	if err != nil || len(given) != sha256.Size {
		return ErrSignature
	}
	proved := 0
	for _, secret := range secrets {
		if len(secret.Reveal()) < max(cmp.Or(v.MinSecret, 16), minHMACSecret) {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(d.Body)
		proved |= subtle.ConstantTimeCompare(mac.Sum(nil), given)
	}
	return signatureError(proved)
}

// TokenVerifier checks a shared secret that the provider sends back as it is,
// in exactly one of Header, Query or Form. Such a proof says who sent the
// delivery and not what is in it: treat the body as a hint.
type TokenVerifier struct {
	Header string // name of a header
	Prefix string // that precedes the token in the header, such as "Bearer "
	Query  string // name of a query parameter
	Form   string // name of a form field in the body, such as "auth[application_token]"
}

// Verify implements Verifier.
func (v TokenVerifier) Verify(d Delivery, secrets []Secret) error {
	values := v.values(d)
	if len(values) != 1 {
		return ErrSignature
	}
	text, ok := strings.CutPrefix(values[0], v.Prefix)
	if !ok || text == "" {
		return ErrSignature
	}
	given := sha256.Sum256([]byte(text))
	proved := 0
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		want := sha256.Sum256([]byte(secret.Reveal()))
		proved |= subtle.ConstantTimeCompare(want[:], given[:])
	}
	return signatureError(proved)
}

func (v TokenVerifier) values(d Delivery) []string {
	switch {
	case v.Header != "":
		return d.Header.Values(v.Header)
	case v.Query != "" && d.URL != nil:
		return d.URL.Query()[v.Query]
	case v.Form != "":
		form, err := url.ParseQuery(string(d.Body))
		if err != nil {
			return nil
		}
		return form[v.Form]
	default:
		return nil
	}
}

// Unverified is for providers that prove nothing. Its deliveries are refused
// unless the host accepts that adapter's by name.
type Unverified struct{}

// Verify implements Verifier; it never succeeds.
func (Unverified) Verify(Delivery, []Secret) error { return ErrSignature }

func signatureError(proved int) error {
	if proved != 1 {
		return ErrSignature
	}
	return nil
}
