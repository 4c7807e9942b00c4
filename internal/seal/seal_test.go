package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/seal"
)

const purpose = seal.PurposeCredential

var place = seal.Context{
	Kind: "credential", Tenant: "t1", Integration: "bitrix24",
	Connection: "c1", Name: "refresh_token", Host: "acme.bitrix24.com",
}

func randomRoot() []byte {
	root := make([]byte, seal.KeySize)
	rand.Read(root)
	return root
}

func newKey(t testing.TB, id seal.KeyID, root []byte) seal.Key {
	t.Helper()
	k, err := seal.NewKey(id, root)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// only returns a lookup that knows the given keys.
func only(keys ...seal.Key) func(seal.KeyID) (seal.Key, error) {
	return func(id seal.KeyID) (seal.Key, error) {
		for _, k := range keys {
			if k.ID() == id {
				return k, nil
			}
		}
		return seal.Key{}, seal.ErrKeyUnknown
	}
}

func mustSeal(t testing.TB, k seal.Key, c seal.Context, plaintext []byte) []byte {
	t.Helper()
	sealed, err := seal.Seal(k, purpose, c, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestRoundTrip(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	for _, n := range []int{0, 1, 15, 16, 17, 512, 65536} {
		plaintext := make([]byte, n)
		rand.Read(plaintext)
		sealed := mustSeal(t, k, place, plaintext)
		if len(sealed) != n+seal.Overhead {
			t.Errorf("%d bytes sealed to %d, want %d more", n, len(sealed), seal.Overhead)
		}
		if id, err := seal.KeyIDOf(sealed); id != 7 || err != nil {
			t.Errorf("KeyIDOf = %d, %v", id, err)
		}
		got, err := seal.Open(only(k), purpose, place, sealed)
		if err != nil || got == nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes: opened to %d bytes, %v", n, len(got), err)
		}
	}
}

// TestTamper is C1. Every bit and every truncation of a long blob takes a
// minute, so its middle is sampled unless ENLACE_LONG is set.
func TestTamper(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	anyKey := func(id seal.KeyID) (seal.Key, error) { return seal.NewKey(id, bytes.Repeat([]byte("12345678"), 4)) }
	mutations := 0
	for _, n := range []int{0, 1, 15, 16, 17, 512, 65536} {
		sealed := mustSeal(t, k, place, make([]byte, n))
		refused := func(what string, at int, mutated []byte) {
			t.Helper()
			mutations++
			for _, lookup := range []func(seal.KeyID) (seal.Key, error){only(k), anyKey} {
				got, err := seal.Open(lookup, purpose, place, mutated)
				if err == nil || got != nil {
					t.Fatalf("%d bytes, %s %d: opened", n, what, at)
				}
				if len(mutated) > 1024 {
					break
				}
			}
		}
		step := 1
		if n > 1024 && os.Getenv("ENLACE_LONG") == "" {
			step = 997
		}
		edge := func(at, size int) bool { return at < seal.Overhead || at >= size-16 }
		for i := range sealed {
			if i%step != 0 && !edge(i, len(sealed)) {
				continue
			}
			for bit := range 8 {
				sealed[i] ^= 1 << bit
				refused("bit of byte", i, sealed)
				sealed[i] ^= 1 << bit
			}
			refused("cut to", i, sealed[:i])
		}
		for extra := 1; extra <= 32; extra++ {
			refused("appended", extra, append(bytes.Clone(sealed), make([]byte, extra)...))
		}
		if _, err := seal.Open(only(k), purpose, place, sealed); err != nil {
			t.Fatalf("the unchanged record does not open: %v", err)
		}
	}
	t.Logf("%d mutations refused", mutations)
}

// TestSwap is C2: a record moved to another place does not open.
func TestSwap(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	var places []seal.Context
	for _, tenant := range []string{"t1", "t2"} {
		for _, integration := range []string{"i1", "i2"} {
			for _, connection := range []string{"c1", "c2"} {
				for _, name := range []string{"access", "refresh", "client", "signing", "code"} {
					places = append(places, seal.Context{Kind: "credential", Tenant: tenant,
						Integration: integration, Connection: connection, Name: name, Host: "example.com"})
				}
			}
		}
	}
	for i, from := range places {
		sealed := mustSeal(t, k, from, []byte("value"))
		for j, to := range places {
			_, err := seal.Open(only(k), purpose, to, sealed)
			if i == j && err != nil || i != j && err != seal.ErrOpen {
				t.Errorf("%+v opened at %+v: %v", from, to, err)
			}
		}
	}
}

func TestEachPartOfThePlaceCounts(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	sealed := mustSeal(t, k, place, []byte("value"))
	changes := map[string]func(*seal.Context){
		"kind":        func(c *seal.Context) { c.Kind = "x" },
		"tenant":      func(c *seal.Context) { c.Tenant = "x" },
		"integration": func(c *seal.Context) { c.Integration = "x" },
		"connection":  func(c *seal.Context) { c.Connection = "x" },
		"name":        func(c *seal.Context) { c.Name = "x" },
		"host":        func(c *seal.Context) { c.Host = "x" },
	}
	for name, change := range changes {
		other := place
		change(&other)
		if _, err := seal.Open(only(k), purpose, other, sealed); err != seal.ErrOpen {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for _, other := range []string{seal.PurposeState, seal.PurposeWebhookBody, "", purpose + "x"} {
		if _, err := seal.Open(only(k), other, place, sealed); err != seal.ErrOpen {
			t.Errorf("purpose %q: %v", other, err)
		}
	}
}

// TestContextIsUnambiguous is C3.
func TestContextIsUnambiguous(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	long := strings.Repeat("x", 64<<10)
	places := []seal.Context{
		{},
		{Tenant: "ab", Integration: "c"}, {Tenant: "a", Integration: "bc"}, {Tenant: "abc"}, {Integration: "abc"},
		{Tenant: "\x00"}, {Integration: "\x00"}, {Tenant: "\x00\x00"}, {Tenant: "a\x00", Integration: "b"}, {Tenant: "a", Integration: "\x00b"},
		{Tenant: "\x00\x00\x00\x01b"}, {Tenant: "\x00\x00\x00\x01", Integration: "b"},
		{Kind: long}, {Host: long}, {Host: long[1:]}, {Name: "x", Host: long[1:]},
	}
	for i, from := range places {
		sealed := mustSeal(t, k, from, nil)
		for j, to := range places {
			_, err := seal.Open(only(k), purpose, to, sealed)
			if i == j && err != nil || i != j && err != seal.ErrOpen {
				t.Errorf("place %d opened as %d: %v", i, j, err)
			}
		}
	}
}

// TestKeyErrors is C4.
func TestKeyErrors(t *testing.T) {
	root := randomRoot()
	k := newKey(t, 7, root)
	sealed := mustSeal(t, k, place, []byte("value"))
	disabled, destroyed := errors.New("disabled"), errors.New("destroyed")
	withID := func(id uint64) []byte {
		changed := bytes.Clone(sealed)
		binary.BigEndian.PutUint64(changed[8:], id)
		return changed
	}
	fails := func(err error) func(seal.KeyID) (seal.Key, error) {
		return func(seal.KeyID) (seal.Key, error) { return seal.Key{}, err }
	}
	tests := []struct {
		name   string
		lookup func(seal.KeyID) (seal.Key, error)
		sealed []byte
		want   error
	}{
		{"right key", only(k), sealed, nil},
		{"wrong key, same id", only(newKey(t, 7, randomRoot())), sealed, seal.ErrOpen},
		{"unknown id", only(newKey(t, 8, root)), sealed, seal.ErrKeyUnknown},
		{"lookup gives another id", func(seal.KeyID) (seal.Key, error) { return newKey(t, 8, root), nil }, sealed, seal.ErrKeyUnknown},
		{"lookup gives the zero key", func(seal.KeyID) (seal.Key, error) { return seal.Key{}, nil }, sealed, seal.ErrKeyUnknown},
		{"disabled", fails(disabled), sealed, disabled},
		{"destroyed", fails(destroyed), sealed, destroyed},
		{"id 0", only(k), withID(0), seal.ErrFormat},
		{"id changed to another known key", only(k, newKey(t, 8, root)), withID(8), seal.ErrOpen},
		{"empty", only(k), nil, seal.ErrFormat},
		{"plaintext", only(k), []byte(`{"access_token":"x"}` + strings.Repeat(" ", 200)), seal.ErrFormat},
		{"version 0", only(k), append([]byte("ENLC\x00"), sealed[5:]...), seal.ErrFormat},
		{"version 2", only(k), append([]byte("ENLC\x02"), sealed[5:]...), seal.ErrFormat},
		{"suite 2", only(k), append([]byte("ENLC\x01\x02"), sealed[6:]...), seal.ErrFormat},
		{"reserved byte 6", only(k), append([]byte("ENLC\x01\x01\x01"), sealed[7:]...), seal.ErrFormat},
		{"reserved byte 7", only(k), append([]byte("ENLC\x01\x01\x00\x01"), sealed[8:]...), seal.ErrFormat},
		{"one byte short", only(k), sealed[:seal.Overhead-1], seal.ErrFormat},
	}
	for _, test := range tests {
		got, err := seal.Open(test.lookup, purpose, place, test.sealed)
		if err != test.want || (err != nil) != (got == nil) {
			t.Errorf("%s: %q, %v, want %v", test.name, got, err, test.want)
		}
	}
}

func TestRefusedInput(t *testing.T) {
	k := newKey(t, 7, randomRoot())
	if _, err := seal.Seal(seal.Key{}, purpose, place, nil); !errors.Is(err, seal.ErrKey) {
		t.Errorf("zero key: %v", err)
	}
	if _, err := seal.Seal(k, "", place, nil); !errors.Is(err, seal.ErrInput) {
		t.Errorf("empty purpose: %v", err)
	}
	huge := seal.Context{Host: strings.Repeat("x", 1<<20+1)}
	if _, err := seal.Seal(k, purpose, huge, nil); !errors.Is(err, seal.ErrInput) {
		t.Errorf("huge context: %v", err)
	}
	if _, err := seal.Open(only(k), purpose, huge, mustSeal(t, k, place, nil)); err != seal.ErrOpen {
		t.Errorf("huge context: %v", err)
	}
}

func TestNewKey(t *testing.T) {
	good := randomRoot()
	tests := []struct {
		name string
		id   seal.KeyID
		root []byte
		ok   bool
	}{
		{"random", 1, good, true},
		{"highest id", 1<<64 - 1, good, true},
		{"id 0", 0, good, false},
		{"nil", 1, nil, false},
		{"31 bytes", 1, good[1:], false},
		{"33 bytes", 1, append(good[:32:32], 1), false},
		{"zeros", 1, make([]byte, 32), false},
		{"7 values", 1, []byte("abcdefgabcdefgabcdefgabcdefgabcd"), false},
		{"8 values", 1, []byte("abcdefghabcdefghabcdefghabcdefgh"), true},
	}
	for _, test := range tests {
		k, err := seal.NewKey(test.id, test.root)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, seal.ErrKey) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil && k.ID() != test.id {
			t.Errorf("%s: id %d", test.name, k.ID())
		}
	}
}

func TestNewKeyCopiesTheRoot(t *testing.T) {
	root := randomRoot()
	k := newKey(t, 7, root)
	sealed := mustSeal(t, k, place, nil)
	clear(root)
	if _, err := seal.Open(only(k), purpose, place, sealed); err != nil {
		t.Error(err)
	}
}

func TestDeriveKeyID(t *testing.T) {
	root, err := hex.DecodeString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	const want = 0x90687405f041c522
	if got := seal.DeriveKeyID(root); got != want {
		t.Errorf("id %#x, want %#x: stored records would lose their key", uint64(got), uint64(want))
	}
	if seal.DeriveKeyID(root) == seal.DeriveKeyID(randomRoot()) {
		t.Error("two roots, one id")
	}
	if got := seal.DeriveKeyID(root[:31]); got != 0 {
		t.Errorf("short root: %d, want 0, which NewKey refuses", got)
	}
}

// TestKeyIsNotPrinted looks for the root key in every form fmt and the encoders
// could give it, through fields and pointers.
func TestKeyIsNotPrinted(t *testing.T) {
	root := []byte("correct horse battery staple 123")
	k := newKey(t, 7, root)
	type hidden struct{ k seal.Key }
	type shown struct{ K seal.Key }
	values := []any{k, &k, hidden{k}, &hidden{k}, shown{k}, &shown{k}, []seal.Key{k}, map[string]seal.Key{"k": k},
		[]any{hidden{k}}, fmt.Errorf("%v %+v", k, hidden{k})}
	forms := []string{string(root), hex.EncodeToString(root), strings.ToUpper(hex.EncodeToString(root)),
		strings.Trim(fmt.Sprint(root), "[]"), strings.Trim(fmt.Sprintf("%x", fmt.Sprint(root)), "[]")}
	check := func(how, text string) {
		t.Helper()
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s shows the key: %s", how, text)
			}
		}
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			check(fmt.Sprintf("%s of %T", verb, v), fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		check(fmt.Sprintf("JSON of %T", v), fmt.Sprint(string(text), err))
	}
	if got := fmt.Sprintf("%v %d %#v", k, k, &k); got != "[key] [key] [key]" {
		t.Errorf("got %q", got)
	}
}

// TestUnique is C7, scaled down.
func TestUnique(t *testing.T) {
	seals := 100_000
	if testing.Short() {
		seals = 10_000
	}
	k := newKey(t, 7, randomRoot())
	salts := make(map[[32]byte]bool, seals)
	commitments := make(map[[32]byte]bool, seals) // the other half of what the record key comes from
	nonces := make(map[[12]byte]bool, seals)
	for range seals {
		sealed := mustSeal(t, k, place, nil)
		salts[[32]byte(sealed[16:48])] = true
		commitments[[32]byte(sealed[48:80])] = true
		nonces[[12]byte(sealed[80:92])] = true
	}
	if len(salts) != seals || len(commitments) != seals || len(nonces) != seals {
		t.Errorf("%d seals: %d salts, %d commitments, %d nonces", seals, len(salts), len(commitments), len(nonces))
	}
}

type vector struct {
	Name      string       `json:"name"`
	KeyID     seal.KeyID   `json:"key_id"`
	Key       string       `json:"key"`
	Purpose   string       `json:"purpose"`
	Context   seal.Context `json:"context"`
	Plaintext string       `json:"plaintext"` // hex, as are key and sealed
	Sealed    string       `json:"sealed"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden is C6: what was ever sealed opens for ever. Never change the file;
// add a new one for a new version.
func TestGolden(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			k := newKey(t, v.KeyID, unhex(t, v.Key))
			got, err := seal.Open(only(k), v.Purpose, v.Context, unhex(t, v.Sealed))
			if err != nil || !bytes.Equal(got, unhex(t, v.Plaintext)) {
				t.Errorf("opened to %x, %v", got, err)
			}
		})
	}
}

// recordSecrets is format v1 written a second time, from its description.
func recordSecrets(t testing.TB, root, header []byte) (aead cipher.AEAD, block cipher.Block, commitment []byte) {
	t.Helper()
	digest := sha256.Sum256(header[:48])
	okm, err := hkdf.Key(sha256.New, root, header[16:48], "enlace/v1/"+purpose+string(digest[:]), 64)
	if err != nil {
		t.Fatal(err)
	}
	block, err = aes.NewCipher(okm[:32])
	if err != nil {
		t.Fatal(err)
	}
	aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead, block, okm[32:]
}

// TestTwoKeys is C5: the same nonce, ciphertext and tag pass GCM under two keys,
// and the commitment lets only one of them open it.
func TestTwoKeys(t *testing.T) {
	roots := [2][]byte{randomRoot(), randomRoot()}
	header := mustSeal(t, newKey(t, 7, roots[0]), place, nil)[:80]
	for committed, root := range roots {
		_, _, commitment := recordSecrets(t, root, header)
		copy(header[48:], commitment)
		aad := additionalData(header)

		aead0, block0, _ := recordSecrets(t, roots[0], header)
		aead1, block1, _ := recordSecrets(t, roots[1], header)
		body := collide(block0, block1, aad)
		for i, aead := range []cipher.AEAD{aead0, aead1} {
			if _, err := aead.Open(nil, nil, body, aad); err != nil {
				t.Fatalf("the test is wrong: GCM refuses key %d: %v", i, err)
			}
		}

		sealed := append(bytes.Clone(header), body...)
		for i, root := range roots {
			_, err := seal.Open(only(newKey(t, 7, root)), purpose, place, sealed)
			if i == committed && err != nil || i != committed && err != seal.ErrOpen {
				t.Errorf("committed to key %d, opened with %d: %v", committed, i, err)
			}
		}
	}
}

// additionalData is the canonical form of place after the header.
func additionalData(header []byte) []byte {
	data := binary.BigEndian.AppendUint32(bytes.Clone(header), 6)
	for _, f := range []string{place.Kind, place.Tenant, place.Integration, place.Connection, place.Name, place.Host} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(f)))
		data = append(data, f...)
	}
	return data
}

// element is a member of GF(2^128) in the bit order of GCM: the first bit of
// the first byte is the coefficient of x^0.
type element struct{ high, low uint64 }

func load(b []byte) element {
	var block [16]byte
	copy(block[:], b)
	return element{binary.BigEndian.Uint64(block[:8]), binary.BigEndian.Uint64(block[8:])}
}

func (a element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a.high), a.low)
}

func (a element) add(b element) element { return element{a.high ^ b.high, a.low ^ b.low} }

func (a element) times(b element) element {
	var product element
	for i := range 128 {
		word := a.high
		if i >= 64 {
			word = a.low
		}
		if word>>(63-i%64)&1 == 1 {
			product = product.add(b)
		}
		carry := b.low & 1
		b.low = b.low>>1 | b.high<<63
		b.high = b.high>>1 ^ carry*(0xe1<<56)
	}
	return product
}

// inverse is a^(2^128-2).
func (a element) inverse() element {
	result := element{high: 1 << 63}
	for range 127 {
		a = a.times(a)
		result = result.times(a)
	}
	return result
}

// collide returns nonce, two blocks of ciphertext and a tag that GCM accepts
// under both keys. The tag is a polynomial in each key's H; the last block is
// chosen so that both have the same value.
func collide(block0, block1 cipher.Block, aad []byte) []byte {
	nonce := make([]byte, 12)
	rand.Read(nonce)
	first := make([]byte, 16)
	rand.Read(first)

	// Tag without the free block, and the factor of the free block.
	parts := func(block cipher.Block) (tag, factor element) {
		var h, mask [16]byte
		block.Encrypt(h[:], h[:])
		block.Encrypt(mask[:], append(bytes.Clone(nonce), 0, 0, 0, 1))
		key := load(h[:])
		var sum element
		for i := 0; i < len(aad); i += 16 {
			sum = sum.add(load(aad[i:min(i+16, len(aad))])).times(key)
		}
		sum = sum.add(load(first)).times(key)
		sum = sum.times(key) // the free block, zero here
		lengths := element{uint64(len(aad)) * 8, 32 * 8}
		return sum.add(lengths).times(key).add(load(mask[:])), key.times(key)
	}
	tag0, factor0 := parts(block0)
	tag1, factor1 := parts(block1)
	free := tag0.add(tag1).times(factor0.add(factor1).inverse())
	tag := tag0.add(free.times(factor0))

	body := append(nonce, first...)
	body = append(body, free.bytes()...)
	return append(body, tag.bytes()...)
}

// TestFIPS is C13: the whole suite again, in a process that may use approved
// primitives only.
func TestFIPS(t *testing.T) {
	const child = "ENLACE_SEAL_FIPS_CHILD"
	if os.Getenv(child) != "" {
		if _, err := aes.NewCipher(make([]byte, 32)); err != nil {
			t.Fatal(err)
		}
		block, _ := aes.NewCipher(make([]byte, 32))
		if _, err := cipher.NewGCM(block); err == nil {
			t.Error("FIPS mode is not on: GCM with own nonces was allowed")
		}
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-test.count=1")
	command.Env = append(os.Environ(), "GODEBUG=fips140=only", child+"=1")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func FuzzOpen(f *testing.F) {
	known := map[string]bool{}
	var keys []seal.Key
	for _, v := range vectors(f) {
		sealed := unhex(f, v.Sealed)
		known[string(sealed)] = true
		keys = append(keys, newKey(f, v.KeyID, unhex(f, v.Key)))
		f.Add(v.Purpose, v.Context.Tenant, v.Context.Host, sealed)
		f.Add(v.Purpose, v.Context.Tenant, v.Context.Host, sealed[:len(sealed)-1])
		f.Add(v.Purpose, v.Context.Tenant, v.Context.Host, sealed[:seal.Overhead])
	}
	f.Add("", "", "", []byte("ENLC\x01\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, purpose, tenant, host string, sealed []byte) {
		before := bytes.Clone(sealed)
		id, headerErr := seal.KeyIDOf(sealed)
		if (headerErr == nil) != (id != 0) {
			t.Fatalf("KeyIDOf = %d, %v", id, headerErr)
		}
		asked := false
		c := place
		c.Tenant, c.Host = tenant, host
		plaintext, err := seal.Open(func(got seal.KeyID) (seal.Key, error) {
			asked = true
			if got != id {
				t.Fatalf("lookup of %d, header says %d", got, id)
			}
			return only(keys...)(got)
		}, purpose, c, sealed)
		switch {
		case asked != (headerErr == nil):
			t.Fatalf("lookup called: %t, header: %v", asked, headerErr)
		case err == nil && !known[string(sealed)]:
			t.Fatalf("opened a forgery: %x", sealed)
		case err == nil && len(plaintext)+seal.Overhead != len(sealed):
			t.Fatalf("%d bytes out of %d", len(plaintext), len(sealed))
		case !bytes.Equal(before, sealed):
			t.Fatal("the input was changed")
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), "t", "h", []byte("value"))
	f.Add(uint64(1)<<63, "", "\x00", []byte{})
	root := randomRoot()
	f.Fuzz(func(t *testing.T, id uint64, tenant, host string, plaintext []byte) {
		if id == 0 {
			return
		}
		k := newKey(t, seal.KeyID(id), root)
		c := seal.Context{Tenant: tenant, Host: host}
		got, err := seal.Open(only(k), purpose, c, mustSeal(t, k, c, plaintext))
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%x came back as %x, %v", plaintext, got, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := newKey(b, 7, randomRoot())
	plaintext := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		mustSeal(b, k, place, plaintext)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := newKey(b, 7, randomRoot())
	sealed := mustSeal(b, k, place, make([]byte, 1024))
	lookup := only(k)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := seal.Open(lookup, purpose, place, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleSeal() {
	root, _ := hex.DecodeString("5d0c1f0a9e7b42d3886f21c4b7ae93510f6cd2e8437a1b95c06e3df4829a57b1")
	key, _ := seal.NewKey(seal.DeriveKeyID(root), root)
	place := seal.Context{Kind: "credential", Tenant: "acme", Connection: "c1", Name: "token", Host: "api.example.com"}
	sealed, _ := seal.Seal(key, seal.PurposeCredential, place, []byte("my token"))

	lookup := func(id seal.KeyID) (seal.Key, error) {
		if id != key.ID() {
			return seal.Key{}, seal.ErrKeyUnknown
		}
		return key, nil
	}
	plaintext, err := seal.Open(lookup, seal.PurposeCredential, place, sealed)
	fmt.Printf("%s %v\n", plaintext, err)

	place.Host = "attacker.example.net"
	_, err = seal.Open(lookup, seal.PurposeCredential, place, sealed)
	fmt.Println(errors.Is(err, seal.ErrOpen))
	// Output:
	// my token <nil>
	// true
}
