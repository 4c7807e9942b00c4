package file

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

func FuzzParse(f *testing.F) {
	key := enlace.CredentialKey{Ref: enlace.Ref{Tenant: "a<b>", ID: "c"}, Name: "account"}
	value := emptyRecord(key).next([]byte("sealed\nbytes"), 1<<63)
	for _, r := range []record{value, value.deleted()} {
		data, err := r.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(magic + "{}\n"))
	f.Add([]byte(magic + `{"tenant":"","integration":"","name":"","key_id":0,"version":1,` +
		`"updated_at":"2026-01-02T03:04:05+01:00","deleted":false,"size":0}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(data)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q was read and is written as %q, %v", data, again, err)
		}
		if r.Version < 1 || r.UpdatedAt.Location() != time.UTC || r.sealed() == nil && len(r.data) > 0 {
			t.Fatalf("%q was read as %+v", data, r)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("acme", "crm", "account", []byte("sealed"), uint64(1))
	f.Add("", "\u2028<&>", "\x00\n", []byte("\n\n"), ^uint64(0))
	f.Add("\xff", "", "", []byte(nil), uint64(0))
	f.Fuzz(func(t *testing.T, tenant, id, name string, sealed []byte, keyID uint64) {
		key := enlace.CredentialKey{Ref: enlace.Ref{Tenant: tenant, ID: id}, Name: name}
		if _, err := fileName(key); err != nil {
			return
		}
		want := emptyRecord(key).next(sealed, keyID)
		data, err := want.encode()
		if err != nil {
			return
		}
		got, err := parse(data)
		if err != nil || got.key() != key {
			t.Fatalf("%q is not read back: %v", data, err)
		}
		if diff := cmp.Diff(want.sealed(), got.sealed(), cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatal(diff)
		}
	})
}
