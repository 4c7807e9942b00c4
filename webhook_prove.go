package enlace

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// prover is a Verifier that also knows how the sender proves itself, and why a proof
// does not hold: for [Service.TestWebhook] and nobody else. What a sender is told never
// depends on it.
type prover interface {
	Verifier
	// prove adds the proof to a delivery; false if the secret cannot make one.
	prove(d *Delivery, secret Secret, at time.Time) bool
	// doubt says in a word why Verify refuses the delivery: one of the proof reasons.
	doubt(d Delivery, secrets []Secret) string
	// timed says whether a time is part of the proof.
	timed() bool
	// means says where the proof stands, in words.
	means() string
}

// The reasons for which a proof does not hold.
const (
	proofMissing  = "proof_missing"  // it is not there, or twice
	proofForm     = "proof_form"     // it is there and not of its form
	proofTime     = "proof_time"     // the signed time is too far from ours
	proofSecret   = "proof_secret"   // there is no secret that could prove anything
	proofMismatch = "proof_mismatch" // no secret makes this proof for this delivery
)

var (
	_ prover = HMACVerifier{}
	_ prover = StandardVerifier{}
	_ prover = TokenVerifier{}
	_ prover = BasicVerifier{}
)

func (v HMACVerifier) prove(d *Delivery, secret Secret, at time.Time) bool {
	if !v.usable(secret) {
		return false
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	sum := v.sum(secret, stamp, d.Body)
	text := hex.EncodeToString(sum)
	if v.Base64 {
		text = base64.StdEncoding.EncodeToString(sum)
	}
	value := v.Prefix + text
	if v.TimePrefix != "" {
		value = v.TimePrefix + stamp + v.Separator + value
	}
	if v.TimeHeader != "" {
		d.Header.Set(v.TimeHeader, stamp)
	}
	d.Header.Set(v.Header, value)
	return true
}

func (v HMACVerifier) doubt(d Delivery, secrets []Secret) string {
	if len(d.Header.Values(v.Header)) != 1 || (v.TimeHeader != "" && len(d.Header.Values(v.TimeHeader)) != 1) {
		return proofMissing
	}
	_, stamp, ok := v.read(d.Header)
	return doubtOf(ok, !v.timed() || timely(stamp, d.ReceivedAt, v.Tolerance), anyOf(secrets, v.usable))
}

func (v HMACVerifier) means() string { return "HMAC-SHA256, " + v.Header }

func (v StandardVerifier) prove(d *Delivery, secret Secret, at time.Time) bool {
	key := standardSecret(secret.Reveal())
	if !usableStandard(secret) || len(key) < minStandardSecret {
		return false // a public key proves and does not sign
	}
	prefix := cmp.Or(v.Prefix, "Webhook-")
	id, stamp := "msg_"+rand.Text(), strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write(append([]byte(id+"."+stamp+"."), d.Body...))
	d.Header.Set(prefix+"Id", id)
	d.Header.Set(prefix+"Timestamp", stamp)
	d.Header.Set(prefix+"Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return true
}

func usableStandard(secret Secret) bool {
	if text, public := strings.CutPrefix(secret.Reveal(), "whpk_"); public {
		_, ok := publicKey(text)
		return ok
	}
	return len(standardSecret(secret.Reveal())) >= minStandardSecret
}

func (v StandardVerifier) doubt(d Delivery, secrets []Secret) string {
	id, stamp, list, ok := v.read(d.Header)
	if !ok {
		return proofMissing
	}
	_, _, ok = standardSignatures(list)
	return doubtOf(ok && standardID(id), timely(stamp, d.ReceivedAt, v.Tolerance), anyOf(secrets, usableStandard))
}

func (StandardVerifier) timed() bool { return true }

func (v StandardVerifier) means() string {
	return "Standard Webhooks, " + cmp.Or(v.Prefix, "Webhook-") + "Signature"
}

func (v TokenVerifier) prove(d *Delivery, secret Secret, _ time.Time) bool {
	if secret.IsZero() {
		return false
	}
	switch {
	case v.Header != "":
		d.Header.Set(v.Header, v.Prefix+secret.Reveal())
	case v.Query != "":
		query := d.URL.Query()
		query.Set(v.Query, v.Prefix+secret.Reveal())
		d.URL.RawQuery = query.Encode()
	case v.Form != "":
		form, err := url.ParseQuery(string(d.Body))
		if err != nil {
			return false
		}
		form.Set(v.Form, v.Prefix+secret.Reveal())
		d.Body = []byte(form.Encode())
	case v.Path:
		d.URL.Path += "/" + v.Prefix + secret.Reveal()
	default:
		return false
	}
	return true
}

func (v TokenVerifier) doubt(d Delivery, secrets []Secret) string {
	values := v.values(d)
	if len(values) != 1 {
		return proofMissing
	}
	return doubtOf(strings.HasPrefix(values[0], v.Prefix), true, anyOf(secrets, notZero))
}

func (TokenVerifier) timed() bool { return false }

func (v TokenVerifier) means() string {
	switch {
	case v.Header != "":
		return "token, " + v.Header
	case v.Query != "":
		return "token, ?" + v.Query + "="
	case v.Form != "":
		return "token, " + v.Form
	default:
		return "token, /" + webhookSegment + "/…"
	}
}

func (v BasicVerifier) prove(d *Delivery, secret Secret, _ time.Time) bool {
	user, password, pair := strings.Cut(secret.Reveal(), ":")
	if v.User != "" {
		user, password, pair = v.User, secret.Reveal(), !secret.IsZero()
	}
	if pair {
		r := http.Request{Header: d.Header}
		r.SetBasicAuth(user, password)
	}
	return pair
}

func (v BasicVerifier) doubt(d Delivery, secrets []Secret) string {
	if len(d.Header.Values("Authorization")) != 1 {
		return proofMissing
	}
	_, _, ok := (&http.Request{Header: d.Header}).BasicAuth()
	return doubtOf(ok, true, anyOf(secrets, notZero))
}

func (BasicVerifier) timed() bool { return false }

func (BasicVerifier) means() string { return "Basic, Authorization" }

// doubtOf is the first reason that applies.
func doubtOf(formed, timely, secret bool) string {
	switch {
	case !secret:
		return proofSecret
	case !formed:
		return proofForm
	case !timely:
		return proofTime
	default:
		return proofMismatch
	}
}

func anyOf(secrets []Secret, usable func(Secret) bool) bool {
	for _, s := range secrets {
		if usable(s) {
			return true
		}
	}
	return false
}

func notZero(s Secret) bool { return !s.IsZero() }
