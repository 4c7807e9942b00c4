package enlace

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxProofHeader = 4096 // bytes of a header that proves something
	maxSignatures  = 8    // in one header
	// minHMACSecret is what FIPS 140 demands of a key.
	minHMACSecret = 14
	// minStandardSecret is what Standard Webhooks demands of a key.
	minStandardSecret = 24
	defaultTolerance  = 5 * time.Minute
)

// Verifier is a way to prove where a delivery comes from. The implementations are
// [HMACVerifier], [StandardVerifier], [TokenVerifier], [BasicVerifier] and
// [Unverified]; [GitHubVerifier], [ShopifyVerifier], [SlackVerifier],
// [StripeVerifier] and [SvixVerifier] are presets of them.
type Verifier interface {
	// Verify returns nil if one of the secrets proves the delivery, and
	// ErrSignature otherwise: always the same, without a computed value. Empty
	// secrets prove nothing. A signed time is compared with d.ReceivedAt, or with
	// the clock if that is zero.
	Verify(d Delivery, secrets []Secret) error
	// Proof says what the proof of a delivery covers. It is meaningful only
	// after Verify has returned nil for the same delivery.
	Proof(d Delivery) Proof
}

// Proof is what a verified delivery's proof covers.
type Proof struct {
	// Signed says that the sender vouches for the body. Without it the proof only
	// says who sent it: treat the body as a hint, and read the record again.
	Signed bool
	// Key tells repetitions of a delivery: equal for equal authenticated bytes
	// (the body's, where none are authenticated). It is empty where nothing
	// tells them, as in a delivery without a body.
	Key string
	// SignedAt is the time that the sender signed; zero if it signs none.
	SignedAt time.Time
}

// bodyKey tells repetitions by the body.
func bodyKey(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// HMACVerifier checks an HMAC-SHA256 in a header, over the body or over a time and
// the body. The zero value of each field is the plain form: one signature in hex,
// over the body.
type HMACVerifier struct {
	Header string
	Prefix string // that precedes the signature in the header, such as "sha256="
	Base64 bool   // the signature is base64, not hex
	// MinSecret is how long a secret must be, in bytes; shorter ones prove nothing,
	// since they can be guessed from one delivery. 0 is 16. Lower it, to 14 at the
	// least, only for a provider that issues shorter ones.
	MinSecret int
	// Separator stands between the elements of a header that holds several: up to
	// eight, of which one signature has to be right. Elements without Prefix are
	// other things. Empty is one signature, alone.
	Separator string
	// TimeHeader is the header with the time, in seconds since 1970, that is
	// signed together with the body; TimePrefix precedes the time as an element
	// of Header instead. Without both no time is signed, and nothing but its key
	// tells an old delivery that is sent again.
	TimeHeader, TimePrefix string
	// Lead and Join make the signed text where a time is signed: Lead, time, Join, body.
	Lead, Join string
	// Tolerance is how far the signed time may be from ours, before or after; 0
	// is five minutes.
	Tolerance time.Duration
}

// GitHubVerifier is how GitHub signs: X-Hub-Signature-256, over the body alone.
func GitHubVerifier() HMACVerifier {
	return HMACVerifier{Header: "X-Hub-Signature-256", Prefix: "sha256="}
}

// ShopifyVerifier is how Shopify signs: X-Shopify-Hmac-Sha256, in base64, over the
// body alone.
func ShopifyVerifier() HMACVerifier {
	return HMACVerifier{Header: "X-Shopify-Hmac-Sha256", Base64: true}
}

// SlackVerifier is how Slack signs: X-Slack-Signature over "v0:time:body".
func SlackVerifier() HMACVerifier {
	return HMACVerifier{Header: "X-Slack-Signature", Prefix: "v0=", TimeHeader: "X-Slack-Request-Timestamp", Lead: "v0:", Join: ":"}
}

// StripeVerifier is how Stripe signs: Stripe-Signature with "t=" and one or several
// "v1=", over "time.body".
func StripeVerifier() HMACVerifier {
	return HMACVerifier{Header: "Stripe-Signature", Prefix: "v1=", Separator: ",", TimePrefix: "t=", Join: "."}
}

// Verify implements Verifier.
func (v HMACVerifier) Verify(d Delivery, secrets []Secret) error {
	given, stamp, ok := v.read(d.Header)
	if !ok || (v.timed() && !timely(stamp, d.ReceivedAt, v.Tolerance)) {
		return ErrSignature
	}
	proved := 0
	for _, secret := range secrets {
		if v.usable(secret) {
			proved |= anyEqual(v.sum(secret, stamp, d.Body), given)
		}
	}
	return signatureError(proved)
}

// usable says whether a secret is long enough to prove anything.
func (v HMACVerifier) usable(secret Secret) bool {
	return len(secret.Reveal()) >= max(cmp.Or(v.MinSecret, 16), minHMACSecret)
}

// sum is the signature of a body, and of a time where one is signed.
func (v HMACVerifier) sum(secret Secret, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	if v.timed() {
		mac.Write([]byte(v.Lead + stamp + v.Join))
	}
	mac.Write(body)
	return mac.Sum(nil)
}

// Proof implements Verifier.
func (v HMACVerifier) Proof(d Delivery) Proof {
	p := Proof{Signed: true, Key: bodyKey(d.Body)}
	if v.timed() {
		_, stamp, _ := v.read(d.Header)
		p.SignedAt = unixTime(stamp)
	}
	return p
}

func (v HMACVerifier) timed() bool { return v.TimeHeader != "" || v.TimePrefix != "" }

// read takes the signatures and the time out of the headers.
func (v HMACVerifier) read(h http.Header) (signatures [][]byte, stamp string, ok bool) {
	value, ok := single(h, v.Header)
	if !ok {
		return nil, "", false
	}
	elements := []string{value}
	if v.Separator != "" {
		if elements = strings.SplitN(value, v.Separator, maxSignatures+2); len(elements) > maxSignatures+1 {
			return nil, "", false
		}
	}
	stamps := h.Values(v.TimeHeader)
	if v.TimeHeader == "" {
		stamps = nil
	}
	for _, element := range elements {
		if v.TimePrefix != "" && strings.HasPrefix(element, v.TimePrefix) {
			stamps = append(stamps, element[len(v.TimePrefix):])
			continue
		}
		text, is := strings.CutPrefix(element, v.Prefix)
		if !is && v.Separator == "" {
			return nil, "", false
		}
		if sum, valid := v.decode(text); is && valid {
			signatures = append(signatures, sum)
		}
	}
	if v.timed() {
		if len(stamps) != 1 {
			return nil, "", false
		}
		stamp = stamps[0]
	}
	return signatures, stamp, len(signatures) > 0 && len(signatures) <= maxSignatures
}

// decode reads a signature. The lengths are those of one way to write it: decoders
// pass over line breaks.
func (v HMACVerifier) decode(text string) ([]byte, bool) {
	if v.Base64 {
		return decodeBase64(text, sha256.Size)
	}
	if len(text) != hex.EncodedLen(sha256.Size) {
		return nil, false
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil
}

// StandardVerifier checks Standard Webhooks: v1 signatures (HMAC-SHA256) by secrets
// that are base64 with or without "whsec_", and v1a signatures (Ed25519) by public
// keys with "whpk_". Secrets of less than 24 bytes and weak public keys prove
// nothing.
//
// The signed text is "id.time.body", so an id with a dot could move the borders
// between the three: only letters, digits, "-" and "_" are taken in ids, and ten
// digits as the time.
type StandardVerifier struct {
	// Prefix of the three headers' names; empty is "Webhook-".
	Prefix string
	// Fallback is another prefix, looked for if no header has the first one.
	Fallback string
	// Tolerance is as in [HMACVerifier].
	Tolerance time.Duration
}

// SvixVerifier is how Svix signs: Standard Webhooks with headers that begin with
// "svix-", or with the standard ones.
func SvixVerifier() StandardVerifier {
	return StandardVerifier{Prefix: "Svix-", Fallback: "Webhook-"}
}

// Verify implements Verifier.
func (v StandardVerifier) Verify(d Delivery, secrets []Secret) error {
	id, stamp, list, ok := v.read(d.Header)
	if !ok || !standardID(id) || !timely(stamp, d.ReceivedAt, v.Tolerance) {
		return ErrSignature
	}
	sums, signatures, ok := standardSignatures(list)
	if !ok {
		return ErrSignature
	}
	signed := make([]byte, 0, len(id)+len(stamp)+len(d.Body)+2)
	signed = append(append(signed, id+"."+stamp+"."...), d.Body...)
	proved := 0
	for _, secret := range secrets {
		if text, public := strings.CutPrefix(secret.Reveal(), "whpk_"); public {
			if key, ok := publicKey(text); ok {
				proved |= anySigned(key, signed, signatures)
			}
			continue
		}
		if key := standardSecret(secret.Reveal()); len(key) >= minStandardSecret {
			mac := hmac.New(sha256.New, key)
			mac.Write(signed)
			proved |= anyEqual(mac.Sum(nil), sums)
		}
	}
	return signatureError(proved)
}

// Proof implements Verifier: the key is the signed id.
func (v StandardVerifier) Proof(d Delivery) Proof {
	id, stamp, _, _ := v.read(d.Header)
	return Proof{Signed: true, Key: id, SignedAt: unixTime(stamp)}
}

// read takes the three headers, each of which must be there once.
func (v StandardVerifier) read(h http.Header) (id, stamp, signatures string, ok bool) {
	prefix := cmp.Or(v.Prefix, "Webhook-")
	if v.Fallback != "" && h.Get(prefix+"Id") == "" && h.Get(prefix+"Timestamp") == "" && h.Get(prefix+"Signature") == "" {
		prefix = v.Fallback
	}
	id, hasID := single(h, prefix+"Id")
	stamp, hasStamp := single(h, prefix+"Timestamp")
	signatures, hasSignatures := single(h, prefix+"Signature")
	return id, stamp, signatures, hasID && hasStamp && hasSignatures
}

// standardID says whether an id cannot move the borders of the signed text.
func standardID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= 256
}

// standardSignatures reads "v1,base64 v1a,base64 …". Other versions are passed over.
func standardSignatures(list string) (sums, signatures [][]byte, ok bool) {
	elements := strings.SplitN(list, " ", maxSignatures+1)
	if len(elements) > maxSignatures {
		return nil, nil, false
	}
	for _, element := range elements {
		version, text, _ := strings.Cut(element, ",")
		switch version {
		case "v1":
			if sum, valid := decodeBase64(text, sha256.Size); valid {
				sums = append(sums, sum)
			}
		case "v1a":
			if signature, valid := decodeBase64(text, ed25519.SignatureSize); valid {
				signatures = append(signatures, signature)
			}
		}
	}
	return sums, signatures, true
}

// standardSecret is the key in a secret, nil if it holds none. Some tools leave out
// the padding.
func standardSecret(text string) []byte {
	text = strings.TrimRight(strings.TrimPrefix(text, "whsec_"), "=")
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return key
}

// publicKey reads an Ed25519 key. Keys of small order are refused, since anything is
// signed under them, and so are encodings that no signer writes.
func publicKey(text string) (ed25519.PublicKey, bool) {
	key, ok := decodeBase64(text, ed25519.PublicKeySize)
	if !ok {
		return nil, false
	}
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f // without the sign of x
	if y[0] >= 0xed && y[31] == 0x7f && strings.Count(string(y[1:31]), "\xff") == 30 {
		return nil, false // the coordinate is not below the prime
	}
	return key, !smallOrder[hex.EncodeToString(y[:])]
}

// smallOrder are the y coordinates of the points of small order, little-endian: 0
// (order 4), 1 (order 1), two of order 8, and p-1 (order 2).
var smallOrder = map[string]bool{
	"0000000000000000000000000000000000000000000000000000000000000000": true,
	"0100000000000000000000000000000000000000000000000000000000000000": true,
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05": true,
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a": true,
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": true,
}

// TokenVerifier checks a shared secret that the provider sends back as it is,
// in exactly one of Header, Query, Form and Path. Such a proof says who sent the
// delivery and not what is in it: treat the body as a hint.
type TokenVerifier struct {
	Header string // name of a header
	Prefix string // that precedes the token in the header, such as "Bearer "
	Query  string // name of a query parameter
	Form   string // name of a form field in the body, such as "auth[application_token]"
	Path   bool   // the last segment of the address's path, behind ".../webhook/"
}

// Verify implements Verifier.
func (v TokenVerifier) Verify(d Delivery, secrets []Secret) error {
	values := v.values(d)
	if len(values) != 1 {
		return ErrSignature
	}
	text, ok := strings.CutPrefix(values[0], v.Prefix)
	if !ok {
		return ErrSignature
	}
	return verifyToken(text, secrets)
}

// Proof implements Verifier.
func (v TokenVerifier) Proof(d Delivery) Proof { return Proof{Key: bodyKey(d.Body)} }

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
	case v.Path && d.URL != nil:
		before, last, ok := cutLast(d.URL.Path)
		if _, name, _ := cutLast(before); ok && name == webhookSegment {
			return []string{last}
		}
	}
	return nil
}

// BasicVerifier checks HTTP basic authentication. A secret is "user:password", or the
// password if User is set. It proves as much as [TokenVerifier].
type BasicVerifier struct {
	User string
}

// Verify implements Verifier.
func (v BasicVerifier) Verify(d Delivery, secrets []Secret) error {
	value, ok := single(d.Header, "Authorization")
	if !ok || len(value) < len("Basic ") || !strings.EqualFold(value[:len("Basic ")], "Basic ") {
		return ErrSignature
	}
	text := value[len("Basic "):]
	given, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(text) != base64.StdEncoding.EncodedLen(len(given)) {
		return ErrSignature
	}
	if v.User == "" {
		return verifyToken(string(given), secrets)
	}
	user, password, ok := strings.Cut(string(given), ":")
	sum, want := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(v.User))
	if !ok || subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
		return ErrSignature
	}
	return verifyToken(password, secrets)
}

// Proof implements Verifier.
func (BasicVerifier) Proof(d Delivery) Proof { return Proof{Key: bodyKey(d.Body)} }

// Unverified is for providers that prove nothing. Its deliveries are refused
// unless the host accepts that adapter's by name ([WebhookConfig.AllowUnverified]).
type Unverified struct{}

// Verify implements Verifier; it never succeeds.
func (Unverified) Verify(Delivery, []Secret) error { return ErrSignature }

// Proof implements Verifier.
func (Unverified) Proof(d Delivery) Proof { return Proof{Key: bodyKey(d.Body)} }

// verifyToken compares by hashes, so that neither content nor length shows in the time.
func verifyToken(text string, secrets []Secret) error {
	if text == "" {
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

func signatureError(proved int) error {
	if proved != 1 {
		return ErrSignature
	}
	return nil
}

// anyEqual compares with each of the given sums, in a time that does not depend on
// which one it is.
func anyEqual(want []byte, given [][]byte) int {
	equal := 0
	for _, sum := range given {
		equal |= subtle.ConstantTimeCompare(want, sum)
	}
	return equal
}

func anySigned(key ed25519.PublicKey, text []byte, signatures [][]byte) int {
	for _, signature := range signatures {
		if ed25519.Verify(key, text, signature) {
			return 1
		}
	}
	return 0
}

// single returns the header's value if it is there once and not too long.
func single(h http.Header, name string) (string, bool) {
	values := h.Values(name)
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxProofHeader {
		return "", false
	}
	return values[0], true
}

// decodeBase64 reads exactly size bytes that are written in the one usual way.
func decodeBase64(text string, size int) ([]byte, bool) {
	if len(text) != base64.StdEncoding.EncodedLen(size) {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return b, err == nil && len(b) == size
}

// timely says whether a stamp, as it stands in the signed text, is a time near the
// one at which it came.
func timely(stamp string, at time.Time, tolerance time.Duration) bool {
	signed := unixTime(stamp)
	if signed.IsZero() {
		return false
	}
	if at.IsZero() {
		at = time.Now()
	}
	return signed.Sub(at).Abs() <= cmp.Or(tolerance, defaultTolerance)
}

// unixTime reads ten digits, the first not zero; anything else is the zero time.
func unixTime(stamp string) time.Time {
	if len(stamp) != 10 || stamp[0] == '0' || strings.Trim(stamp, "0123456789") != "" {
		return time.Time{}
	}
	seconds, _ := strconv.ParseInt(stamp, 10, 64)
	return time.Unix(seconds, 0)
}

// webhookSegment ends the path of every webhook's address, or stands before its token.
const webhookSegment = "webhook"

// cutLast splits a path before its last segment.
func cutLast(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
