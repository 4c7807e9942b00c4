package enlace_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// message is a delivery of Standard Webhooks, each header of which may be spoilt.
type message struct {
	id, stamp, signature string
	body                 string
	at                   int64 // when it comes, in seconds since 1970; 0 is as signed
}

func (m message) delivery(prefix string) enlace.Delivery {
	h := http.Header{}
	for name, value := range map[string]string{"Id": m.id, "Timestamp": m.stamp, "Signature": m.signature} {
		if value != "" {
			h.Set(prefix+name, value)
		}
	}
	at := m.at
	if at == 0 {
		at, _ = strconv.ParseInt(m.stamp, 10, 64)
	}
	return enlace.Delivery{Header: h, Body: []byte(m.body), ReceivedAt: time.Unix(at, 0)}
}

// signed signs the message with a secret of Standard Webhooks.
func (m message) signed(secret string) message {
	key, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(secret, "whsec_"), "="))
	mac := hmac.New(sha256.New, append(key, make([]byte, sha256.BlockSize)...)[:max(sha256.BlockSize, len(key))])
	mac.Write([]byte(m.id + "." + m.stamp + "." + m.body))
	m.signature = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return m
}

// The vectors that the reference libraries of Standard Webhooks and Svix are tested with.
const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardPublic = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	signatureV1    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	signatureV1a   = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
	wrongV1        = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
)

var official = message{id: "msg_p5jXN8AQM9LWM0D4loKWxJek", stamp: "1614265330", body: `{"test": 2432232314}`}

func changed(change func(*message)) message {
	m := official
	m.signature = signatureV1
	change(&m)
	return m
}

func TestStandardWebhooks(t *testing.T) {
	const at = 1614265330
	rust := message{id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", stamp: "1649367553", body: `{"email":"test@example.com","username":"test_user"}`,
		signature: "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="}
	key28, key29 := base64.StdEncoding.EncodeToString(make([]byte, 28)), base64.StdEncoding.EncodeToString(make([]byte, 29))
	unsigned := official
	for name, test := range map[string]struct {
		message message
		secrets []enlace.Secret
		proved  bool
	}{
		"official":                 {changed(func(*message) {}), secrets(standardSecret), true},
		"official, rust":           {rust, secrets("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), true},
		"official, v1a":            {changed(func(m *message) { m.signature = signatureV1a }), secrets(standardPublic), true},
		"both versions, secret":    {changed(func(m *message) { m.signature += " " + signatureV1a }), secrets(standardSecret), true},
		"both versions, key":       {changed(func(m *message) { m.signature += " " + signatureV1a }), secrets(standardPublic), true},
		"without whsec_":           {changed(func(*message) {}), secrets(strings.TrimPrefix(standardSecret, "whsec_")), true},
		"second secret":            {changed(func(*message) {}), secrets("whsec_"+key28, standardSecret), true},
		"empty body":               {message{id: "m", stamp: official.stamp}.signed(standardSecret), secrets(standardSecret), true},
		"a body of any bytes":      {message{id: "m", stamp: official.stamp, body: "\x00\xff\xfe"}.signed(standardSecret), secrets(standardSecret), true},
		"one pad":                  {unsigned.signed(key29), secrets(key29), true},
		"one pad, left out":        {unsigned.signed(key29), secrets("whsec_" + strings.TrimRight(key29, "=")), true},
		"two pads, left out":       {unsigned.signed(key28), secrets(strings.TrimRight(key28, "=")), true},
		"several, one right":       {changed(func(m *message) { m.signature = wrongV1 + " v2,xxx " + wrongV1 + " " + signatureV1 }), secrets(standardSecret), true},
		"eight":                    {changed(func(m *message) { m.signature = strings.Repeat(wrongV1+" ", 7) + signatureV1 }), secrets(standardSecret), true},
		"late but in time":         {changed(func(m *message) { m.at = at + 300 }), secrets(standardSecret), true},
		"early but in time":        {changed(func(m *message) { m.at = at - 300 }), secrets(standardSecret), true},
		"no id":                    {changed(func(m *message) { m.id = "" }), secrets(standardSecret), false},
		"no time":                  {changed(func(m *message) { m.stamp = ""; m.at = at }), secrets(standardSecret), false},
		"no signature":             {changed(func(m *message) { m.signature = "" }), secrets(standardSecret), false},
		"wrong signature":          {changed(func(m *message) { m.signature = wrongV1 }), secrets(standardSecret), false},
		"part of a signature":      {changed(func(m *message) { m.signature = m.signature[:11] }), secrets(standardSecret), false},
		"version alone":            {changed(func(m *message) { m.signature = "v1," }), secrets(standardSecret), false},
		"without version":          {changed(func(m *message) { m.signature = m.signature[3:] }), secrets(standardSecret), false},
		"other version":            {changed(func(m *message) { m.signature = "v2" + m.signature[2:] }), secrets(standardSecret), false},
		"several, none right":      {changed(func(m *message) { m.signature = wrongV1 + " " + wrongV1 }), secrets(standardSecret), false},
		"something behind":         {changed(func(m *message) { m.signature += ",junk" }), secrets(standardSecret), false},
		"nine":                     {changed(func(m *message) { m.signature = strings.Repeat(wrongV1+" ", 8) + signatureV1 }), secrets(standardSecret), false},
		"v1 as v1a":                {changed(func(m *message) { m.signature = "v1a," + m.signature[3:] }), secrets(standardSecret, standardPublic), false},
		"v1a as v1":                {changed(func(m *message) { m.signature = "v1," + signatureV1a[4:] }), secrets(standardSecret, standardPublic), false},
		"too old":                  {changed(func(m *message) { m.at = at + 301 }), secrets(standardSecret), false},
		"too new":                  {changed(func(m *message) { m.at = at - 301 }), secrets(standardSecret), false},
		"very old":                 {message{id: "m", stamp: "1000000000", at: 9000000000}.signed(standardSecret), secrets(standardSecret), false},
		"other secret":             {changed(func(*message) {}), secrets("whsec_" + key28), false},
		"no secret":                {changed(func(*message) {}), nil, false},
		"empty secret":             {unsigned.signed(""), secrets(""), false},
		"whsec_ alone":             {unsigned.signed(""), secrets("whsec_"), false},
		"secret of one byte":       {unsigned.signed("whsec_AQ=="), secrets("whsec_AQ=="), false},
		"secret of 23 bytes":       {unsigned.signed(base64.StdEncoding.EncodeToString(make([]byte, 23))), secrets(base64.StdEncoding.EncodeToString(make([]byte, 23))), false},
		"secret is no base64":      {unsigned.signed("whsec_***"), secrets("whsec_***************************************"), false},
		"public key for v1":        {unsigned.signed(strings.TrimPrefix(standardPublic, "whpk_")), secrets(standardPublic), false},
		"secret key for v1a":       {changed(func(m *message) { m.signature = signatureV1a }), secrets("whsec_" + strings.TrimPrefix(standardPublic, "whpk_")), false},
		"altered body":             {changed(func(m *message) { m.body += " " }), secrets(standardSecret), false},
		"altered body, v1a":        {changed(func(m *message) { m.signature = signatureV1a; m.body += " " }), secrets(standardPublic), false},
		"altered id":               {changed(func(m *message) { m.id += "x" }), secrets(standardSecret), false},
		"altered time":             {changed(func(m *message) { m.stamp = "1614265331"; m.at = at }), secrets(standardSecret), false},
		"time is a word":           {message{id: "m", stamp: "hello", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time is a fraction":       {message{id: "m", stamp: "1614265330.5", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time is negative":         {message{id: "m", stamp: "-1614265330", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time with a plus":         {message{id: "m", stamp: "+1614265330", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time with zeros":          {message{id: "m", stamp: "0001614265330", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time with a leading zero": {message{id: "m", stamp: "0614265330", at: 614265330}.signed(standardSecret), secrets(standardSecret), false},
		"time with a space":        {message{id: "m", stamp: " 1614265330", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"time of 20 digits":        {message{id: "m", stamp: "16142653301614265330", at: at}.signed(standardSecret), secrets(standardSecret), false},
		"dot in the id":            {message{id: "m.1", stamp: official.stamp}.signed(standardSecret), secrets(standardSecret), false},
		"space in the id":          {message{id: "m 1", stamp: official.stamp}.signed(standardSecret), secrets(standardSecret), false},
		"id too long":              {message{id: strings.Repeat("m", 257), stamp: official.stamp}.signed(standardSecret), secrets(standardSecret), false},
		"id just fits":             {message{id: strings.Repeat("m", 256), stamp: official.stamp}.signed(standardSecret), secrets(standardSecret), true},
	} {
		checkVerdict(t, name, enlace.StandardVerifier{}, test.message.delivery("Webhook-"), test.secrets, test.proved)
		checkVerdict(t, name+", svix", enlace.SvixVerifier(), test.message.delivery("Svix-"), test.secrets, test.proved)
		checkVerdict(t, name+", svix with standard names", enlace.SvixVerifier(), test.message.delivery("Webhook-"), test.secrets, test.proved)
	}
	good := changed(func(*message) {})
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		d := good.delivery("Webhook-")
		d.Header.Add(name, d.Header.Get(name))
		checkVerdict(t, "twice "+name, enlace.StandardVerifier{}, d, secrets(standardSecret), false)
	}
	mixed := good.delivery("Webhook-")
	mixed.Header.Set("Svix-Id", "other")
	checkVerdict(t, "both names", enlace.SvixVerifier(), mixed, secrets(standardSecret), false)
	if p := (enlace.StandardVerifier{}).Proof(good.delivery("Webhook-")); !p.Signed || p.Key != official.id || p.SignedAt.Unix() != at {
		t.Errorf("the proof is %+v", p)
	}
}

// A sender who chooses a part of one signed body must not get another message out of
// it by moving the borders between id, time and body.
func TestStandardWebhooksBorders(t *testing.T) {
	inner := `{"amount":1000000}`
	honest := message{id: "msg_1", stamp: official.stamp, body: "x." + official.stamp + "." + inner}.signed(standardSecret)
	checkVerdict(t, "honest", enlace.StandardVerifier{}, honest.delivery("Webhook-"), secrets(standardSecret), true)
	moved := honest
	moved.id, moved.body = honest.id+"."+honest.stamp+".x", inner
	checkVerdict(t, "moved", enlace.StandardVerifier{}, moved.delivery("Webhook-"), secrets(standardSecret), false)
}

// No signature proves anything with one bit changed.
func TestSignatureBits(t *testing.T) {
	for bit := range 256 {
		sum, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(signatureV1, "v1,"))
		sum[bit/8] ^= 1 << (bit % 8)
		m := changed(func(m *message) { m.signature = "v1," + base64.StdEncoding.EncodeToString(sum) })
		checkVerdict(t, fmt.Sprint("bit ", bit), enlace.StandardVerifier{}, m.delivery("Webhook-"), secrets(standardSecret), false)
		raw := sign(secretText, "{}")
		raw[bit/8] ^= 1 << (bit % 8)
		checkVerdict(t, fmt.Sprint("hex bit ", bit), enlace.GitHubVerifier(),
			enlace.Delivery{Header: http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(raw)}}, Body: []byte("{}")}, secrets(secretText), false)
	}
	for bit := range 512 {
		signature, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(signatureV1a, "v1a,"))
		signature[bit/8] ^= 1 << (bit % 8)
		m := changed(func(m *message) { m.signature = "v1a," + base64.StdEncoding.EncodeToString(signature) })
		checkVerdict(t, fmt.Sprint("v1a bit ", bit), enlace.StandardVerifier{}, m.delivery("Webhook-"), secrets(standardPublic), false)
	}
}

// Under a key of small order anybody can sign anything; under one that is written
// unusually two texts would name the same key.
func TestWeakPublicKeys(t *testing.T) {
	identity := make([]byte, 32)
	identity[0] = 1
	forged := append(append([]byte(nil), identity...), make([]byte, 32)...) // R = identity, S = 0
	if !ed25519.Verify(identity, []byte("anything"), forged) {
		t.Fatal("crypto/ed25519 refuses the forgery itself: this test shows nothing")
	}
	forgery := "v1a," + base64.StdEncoding.EncodeToString(forged)
	for name, key := range map[string]string{
		"order 1":                    "0100000000000000000000000000000000000000000000000000000000000000",
		"order 1, with sign":         "0100000000000000000000000000000000000000000000000000000000000080",
		"order 2":                    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":                    "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, with sign":         "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":                    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, with sign":         "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 8, other":             "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, other, with sign":  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"order 1, not canonical":     "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4, not canonical":     "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 1, not canonical, -0": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		raw, _ := hex.DecodeString(key)
		m := changed(func(m *message) { m.signature = forgery })
		// A signature of small order is right for one message in eight, so try several.
		for i := range 64 {
			m.body = fmt.Sprint("forged ", i)
			checkVerdict(t, name, enlace.StandardVerifier{}, m.delivery("Webhook-"), secrets("whpk_"+base64.StdEncoding.EncodeToString(raw)), false)
		}
	}
}

const (
	slackBody = `{"token":"aF5ynEYQH0dFN9imlgcADxDB","team_id":"XXXXXXXXX","api_app_id":"YYYYYYYYY","event":{"type":"app_mention","user":"AAAAAAAAA","text":"<@EEEEEEEEE> hello world","client_msg_id":"477cc591-ch73-a14z-4db8-g0cd76321bec","ts":"1531431954.000073","channel":"TTTTTTTTT","event_ts":"1531431954.000073"},"type":"event_callback","event_id":"TvBP7LRED7","event_time":1531431954,"authed_users":["EEEEEEEEE"]}`
	slackKey  = "e6b19c573432dcc6b075501d51b51bb8"
	slackSum  = "adada4ed31709aef585c2580ca3267678c6a8eaeb7e0c1aca3ee57b656886b2c"
	githubSum = "b1f8020f5b4cd42042f807dd939015c4a418bc1ff7f604dd55b0a19b5d953d9b"
)

// The vectors of GitHub's documentation, go-github and slack-go.
func TestPresetVectors(t *testing.T) {
	github := func(body, value string) enlace.Delivery {
		return enlace.Delivery{Header: http.Header{"X-Hub-Signature-256": {value}}, Body: []byte(body)}
	}
	docs := github("Hello, World!", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	checkVerdict(t, "github, docs", enlace.GitHubVerifier(), docs, secrets("It's a Secret to Everybody"), true)
	checkVerdict(t, "github", enlace.GitHubVerifier(), github(`{"yo":true}`, "sha256="+githubSum), secrets("0123456789abcdef"), true)
	checkVerdict(t, "github, sha1", enlace.GitHubVerifier(), github(`{"yo":true}`, "sha1="+githubSum[:40]), secrets("0123456789abcdef"), false)
	checkVerdict(t, "github, no prefix", enlace.GitHubVerifier(), github(`{"yo":true}`, githubSum), secrets("0123456789abcdef"), false)

	shopify := enlace.Delivery{Header: http.Header{"X-Shopify-Hmac-Sha256": {base64.StdEncoding.EncodeToString(sign(secretText, "{}"))}}, Body: []byte("{}")}
	checkVerdict(t, "shopify", enlace.ShopifyVerifier(), shopify, secrets(secretText), true)

	for name, test := range map[string]struct {
		stamps, signatures []string
		at                 int64
		secret             string
		proved             bool
	}{
		"good":             {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954, slackKey, true},
		"in time":          {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954 + 300, slackKey, true},
		"in time, before":  {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954 - 300, slackKey, true},
		"too old":          {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954 + 301, slackKey, false},
		"too new":          {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954 - 301, slackKey, false},
		"other secret":     {[]string{"1531431954"}, []string{"v0=" + slackSum}, 1531431954, "e6b19c573432dcc6b075501d51b51boo", false},
		"no prefix":        {[]string{"1531431954"}, []string{slackSum}, 1531431954, slackKey, false},
		"no time":          {nil, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"time twice":       {[]string{"1531431954", "1531431954"}, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"other time":       {[]string{"1531431955"}, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"zeros before":     {[]string{"01531431954"}, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"292 years later":  {[]string{"9999999999"}, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"beyond any clock": {[]string{"9223372036854775807"}, []string{"v0=" + slackSum}, 1531431954, slackKey, false},
		"no signature":     {[]string{"1531431954"}, nil, 1531431954, slackKey, false},
	} {
		d := enlace.Delivery{Header: http.Header{"X-Slack-Request-Timestamp": test.stamps, "X-Slack-Signature": test.signatures},
			Body: []byte(slackBody), ReceivedAt: time.Unix(test.at, 0)}
		checkVerdict(t, "slack, "+name, enlace.SlackVerifier(), d, secrets(test.secret), test.proved)
	}
}

func TestStripe(t *testing.T) {
	const body, stamp = `{"id":"evt_1"}`, "1700000000"
	good := "v1=" + hex.EncodeToString(sign(secretText, stamp+"."+body))
	wrong := "v1=" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		header []string
		at     int64
		secret string
		proved bool
	}{
		"good":                 {[]string{"t=" + stamp + "," + good}, 1700000000, secretText, true},
		"order":                {[]string{good + ",t=" + stamp}, 1700000000, secretText, true},
		"with v0":              {[]string{"t=" + stamp + ",v0=" + strings.Repeat("1", 64) + "," + good}, 1700000000, secretText, true},
		"rolling":              {[]string{"t=" + stamp + "," + wrong + "," + good}, 1700000000, secretText, true},
		"eight":                {[]string{"t=" + stamp + strings.Repeat(","+wrong, 7) + "," + good}, 1700000000, secretText, true},
		"nine":                 {[]string{"t=" + stamp + strings.Repeat(","+wrong, 8) + "," + good}, 1700000000, secretText, false},
		"v0 only":              {[]string{"t=" + stamp + ",v0=" + good[3:]}, 1700000000, secretText, false},
		"two times":            {[]string{"t=" + stamp + ",t=" + stamp + "," + good}, 1700000000, secretText, false},
		"two times, one other": {[]string{"t=1500000000," + good + ",t=" + stamp}, 1700000000, secretText, false},
		"no time":              {[]string{good}, 1700000000, secretText, false},
		"no signature":         {[]string{"t=" + stamp}, 1700000000, secretText, false},
		"empty signature":      {[]string{"t=" + stamp + ",v1="}, 1700000000, secretText, false},
		"empty":                {[]string{""}, 1700000000, secretText, false},
		"missing":              {nil, 1700000000, secretText, false},
		"header twice":         {[]string{"t=" + stamp + "," + good, "t=" + stamp + "," + good}, 1700000000, secretText, false},
		"50 years ahead":       {[]string{"t=3277880000,v1=" + hex.EncodeToString(sign(secretText, "3277880000."+body))}, 1700000000, secretText, false},
		"too old":              {[]string{"t=" + stamp + "," + good}, 1700000301, secretText, false},
		"empty secret":         {[]string{"t=" + stamp + ",v1=" + hex.EncodeToString(sign("", stamp+"."+body))}, 1700000000, "", false},
		"spaces":               {[]string{"t=" + stamp + ", " + good}, 1700000000, secretText, false},
	} {
		d := enlace.Delivery{Header: http.Header{"Stripe-Signature": test.header}, Body: []byte(body), ReceivedAt: time.Unix(test.at, 0)}
		checkVerdict(t, name, enlace.StripeVerifier(), d, secrets(test.secret), test.proved)
	}
	first := enlace.Delivery{Header: http.Header{"Stripe-Signature": {"t=" + stamp + "," + good}}, Body: []byte(body)}
	again := enlace.Delivery{Header: http.Header{"Stripe-Signature": {"t=1700000060," + wrong}}, Body: []byte(body)}
	p, q := enlace.StripeVerifier().Proof(first), enlace.StripeVerifier().Proof(again)
	if p.Key == "" || p.Key != q.Key || !p.Signed || p.SignedAt.Unix() != 1700000000 {
		t.Errorf("a delivery that is sent again has the key %q, then %q (%+v)", p.Key, q.Key, p)
	}
}

func TestBasicVerifier(t *testing.T) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	named := enlace.BasicVerifier{User: "hook"}
	for name, test := range map[string]struct {
		verifier enlace.BasicVerifier
		values   []string
		secrets  []enlace.Secret
		proved   bool
	}{
		"good":              {named, []string{"Basic " + encoded("hook:pass:word")}, secrets("pass:word"), true},
		"good, lower case":  {named, []string{"basic " + encoded("hook:pass")}, secrets("new", "pass"), true},
		"pair":              {enlace.BasicVerifier{}, []string{"Basic " + encoded("a:b")}, secrets("a:b"), true},
		"other user":        {named, []string{"Basic " + encoded("other:pass")}, secrets("pass"), false},
		"other password":    {named, []string{"Basic " + encoded("hook:other")}, secrets("pass"), false},
		"empty password":    {named, []string{"Basic " + encoded("hook:")}, secrets(""), false},
		"no colon":          {named, []string{"Basic " + encoded("hook")}, secrets(""), false},
		"bearer":            {named, []string{"Bearer " + encoded("hook:pass")}, secrets("pass"), false},
		"twice":             {named, []string{"Basic " + encoded("hook:pass"), "Basic " + encoded("hook:pass")}, secrets("pass"), false},
		"no base64":         {named, []string{"Basic hook:pass"}, secrets("pass"), false},
		"short":             {named, []string{"Bas"}, secrets("pass"), false},
		"missing":           {named, nil, secrets("pass"), false},
		"no secrets":        {named, []string{"Basic " + encoded("hook:pass")}, nil, false},
		"pair, empty":       {enlace.BasicVerifier{}, []string{"Basic "}, secrets(""), false},
		"unusual base64":    {named, []string{"Basic " + encoded("hook:pass") + "\n"}, secrets("pass"), false},
		"secret beside one": {named, []string{"Basic " + encoded("hook:pass")}, secrets("", "pass"), true},
	} {
		checkVerdict(t, name, test.verifier, enlace.Delivery{Header: http.Header{"Authorization": test.values}}, test.secrets, test.proved)
	}
}

// A proof of nothing but the sender's name says so, and a delivery without a body is
// like no other.
func TestProofs(t *testing.T) {
	for _, v := range []enlace.Verifier{enlace.TokenVerifier{Header: "X"}, enlace.BasicVerifier{}, enlace.Unverified{}} {
		one, two := v.Proof(enlace.Delivery{Body: []byte("1")}), v.Proof(enlace.Delivery{Body: []byte("2")})
		if one.Signed || one.Key == "" || one.Key == two.Key || !one.SignedAt.IsZero() {
			t.Errorf("%T: %+v and %+v", v, one, two)
		}
		if empty := v.Proof(enlace.Delivery{}); empty.Key != "" {
			t.Errorf("%T: the key of an empty body is %q", v, empty.Key)
		}
	}
}

// Whatever the headers hold, only a signature over exactly these bytes proves them.
func FuzzStandardVerifier(f *testing.F) {
	f.Add(official.id, official.stamp, signatureV1, []byte(official.body))
	f.Add("m.1", "01", "v1,", []byte(nil))
	f.Add("", "", " ", []byte("x"))
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		m := message{id: id, stamp: stamp, signature: signature, body: string(body), at: 1614265330}
		err := enlace.StandardVerifier{}.Verify(m.delivery("Webhook-"), secrets(standardSecret))
		if err == nil && (!strings.Contains(signature, m.signed(standardSecret).signature) || strings.Contains(id, ".")) {
			t.Errorf("proved by %q", signature)
		}
	})
}

// Whatever the header holds, only a signature over its one time and the body proves it.
func FuzzStripeVerifier(f *testing.F) {
	f.Add("t=1700000000,v1="+hex.EncodeToString(sign(secretText, "1700000000.{}")), []byte("{}"))
	f.Add("t=,v1=", []byte(nil))
	f.Add(",,,=", []byte("x"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		d := enlace.Delivery{Header: http.Header{"Stripe-Signature": {header}}, Body: body, ReceivedAt: time.Unix(1700000000, 0)}
		if (enlace.StripeVerifier()).Verify(d, secrets(secretText)) != nil {
			return
		}
		_, rest, _ := strings.Cut(","+header, ",t=")
		stamp, _, _ := strings.Cut(rest, ",")
		if !strings.Contains(strings.ToLower(header), "v1="+hex.EncodeToString(sign(secretText, stamp+"."+string(body)))) {
			t.Errorf("proved by %q", header)
		}
	})
}
