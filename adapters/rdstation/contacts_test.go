package rdstation_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/google/go-cmp/cmp"
)

// biased is the account of the sheet's test cases.
func bia(o rdstationtest.Options) (*rdstationtest.Account, string) {
	a := rdstationtest.New(o)
	a.PutField("cf_segmento", "STRING")
	a.PutField("cf_numero_de_lojas", "INTEGER")
	a.PutField("cf_interesses", "STRING[]", "fornos", "batedeiras")
	uuid := a.PutContact(map[string]any{"email": "bia@exemplo.com.br", "name": "Bia Nunes", "job_title": "Compras",
		"tags": []any{"b2b", "forno"}, "cf_segmento": "padaria", "cf_numero_de_lojas": 4, "cf_interesses": []any{"fornos", "batedeiras"},
		"legal_bases": []any{map[string]any{"category": "communications", "type": "consent", "status": "granted"}}})
	return a, uuid
}

// TestContacts goes through T12 to T21.
func TestContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{MaxContacts: 4})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		want := rdstation.Contact{UUID: uuid, Email: "bia@exemplo.com.br", Name: "Bia Nunes", JobTitle: "Compras", Tags: []string{"b2b", "forno"}, ExtraEmails: []string{},
			LegalBases: []rdstation.LegalBasis{{Category: "communications", Type: "consent", Status: "granted"}},
			Custom:     map[string]any{"cf_segmento": "padaria", "cf_numero_de_lojas": json.Number("4"), "cf_interesses": []any{"fornos", "batedeiras"}}}
		for _, id := range []rdstation.Identifier{rdstation.ByEmail(" BIA@exemplo.com.br"), rdstation.ByUUID(uuid)} {
			got, err := m.Contact(ctx, c, id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("T12 by %v (-want +got):\n%s", id, diff)
			}
		}
		if _, err := m.Contact(ctx, c, rdstation.ByEmail("ninguem@exemplo.com.br")); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("T13: %v", err)
		}
		if _, err := m.CreateContact(ctx, c, rdstation.Contact{Email: "bia@exemplo.com.br"}); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("T14: %v", err)
		}
		// T15 and T16: the e-mail in the data is what identifies the contact.
		got, err := m.UpsertContact(ctx, c, rdstation.ByEmail("bia@exemplo.com.br"), rdstation.Contact{Email: "bia@exemplo.com.br",
			JobTitle: "Diretora", Tags: []string{"cliente-ativo"}, Custom: map[string]any{"cf_numero_de_lojas": 5}})
		if err != nil || got.JobTitle != "Diretora" || !cmp.Equal(got.Tags, []string{"cliente-ativo"}) || got.Custom["cf_numero_de_lojas"] != json.Number("5") {
			t.Errorf("T15: %+v, %v", got, err)
		}
		for name, changes := range map[string]map[string]any{"T17": {"cf_nao_existe": "x"}, "T18": {"available_for_mailing": false}, "T19": {"name": 12}} {
			if _, err := m.UpdateContact(ctx, c, rdstation.ByUUID(uuid), changes); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		created, err := m.UpsertContact(ctx, c, rdstation.ByEmail("a+b@exemplo.com.br"), rdstation.Contact{Name: "Plus"})
		if err != nil || created.UUID == "" || created.Email != "a+b@exemplo.com.br" {
			t.Errorf("upsert of a new one: %+v, %v", created, err)
		}
		if _, err := m.UpdateContact(ctx, c, rdstation.ByUUID("0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11"), rdstation.Contact{Name: "x"}); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("update of none: %v", err)
		}
		if _, err := m.UpsertContact(ctx, c, rdstation.ByUUID(uuid), nil); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("upsert by UUID: %v", err)
		}
		phoned, err := m.UpsertContact(ctx, c, rdstation.ByPhone("+5581999990000"), map[string]any{"phone": "+5581999990000", "name": "Fone"})
		if err != nil || phoned.Phone != "+5581999990000" {
			t.Errorf("upsert by phone: %+v, %v", phoned, err)
		}
		if _, err := m.CreateContact(ctx, c, rdstation.Contact{Email: "new@example.com", Name: "New"}); err != nil {
			t.Error(err)
		}
		if _, err := m.CreateContact(ctx, c, rdstation.Contact{Email: "late@example.com"}); !errors.Is(err, enlace.ErrForbidden) {
			t.Errorf("beyond the plan's contacts: %v", err)
		}
		if err := m.DeleteContact(ctx, c, rdstation.ByEmail("new@example.com")); err != nil {
			t.Error(err)
		}
		if err := m.DeleteContact(ctx, c, rdstation.ByEmail("new@example.com")); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}

func TestTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, _ := bia(rdstationtest.Options{})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		id := rdstation.ByEmail("bia@exemplo.com.br")
		for _, test := range []struct {
			add      []string
			requests int
			tags     string
		}{
			{nil, 0, "b2b forno"},
			{[]string{"VIP "}, 1, "b2b forno vip"},            // T20 is not provoked
			{[]string{"b2b"}, 1, "b2b forno vip"},             // T21
			{[]string{"b2b", "Vip"}, 2, "b2b forno vip"},      // one request too many is refused, one reads
			{[]string{"b2b", "x", "X"}, 3, "b2b forno vip x"}, // and one adds what is missing
		} {
			before := account.Stats().Requests
			if err := m.AddTags(ctx, c, id, test.add...); err != nil {
				t.Fatalf("%q: %v", test.add, err)
			}
			if n := account.Stats().Requests - before; n != test.requests {
				t.Errorf("%q took %d requests, want %d", test.add, n, test.requests)
			}
			contact := must[rdstation.Contact](t)(m.Contact(ctx, c, id))
			if got := strings.Join(sorted(contact.Tags), " "); got != test.tags {
				t.Errorf("%q: %s", test.add, got)
			}
		}
		if err := m.AddTags(ctx, c, rdstation.ByEmail("no@example.com"), "x"); !errors.Is(err, enlace.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestFunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{Users: []rdstationtest.User{{Email: "vendas@exemplo.com.br"}}})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		id := rdstation.ByUUID(uuid)
		f, err := m.SetFunnel(ctx, c, id, rdstation.FunnelChange{LifecycleStage: new("Qualified Lead"), Opportunity: new(true), ContactOwnerEmail: new("vendas@exemplo.com.br")})
		if err != nil || f.LifecycleStage != "Qualified Lead" || !f.Opportunity || f.ContactOwnerEmail != "vendas@exemplo.com.br" {
			t.Errorf("T24: %+v, %v", f, err)
		}
		_, err = m.SetFunnel(ctx, c, id, rdstation.FunnelChange{ContactOwnerEmail: new("fora@exemplo.com.br")})
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Kind != enlace.ErrInvalid || e.Code != "INVALID_USER" {
			t.Errorf("T25: %v", err)
		}
		if _, err := m.SetFunnel(ctx, c, id, rdstation.FunnelChange{ContactOwnerEmail: new("")}); err != nil {
			t.Error(err)
		}
		if f, err = m.Funnel(ctx, c, id); err != nil || f.ContactOwnerEmail != "" || !f.Opportunity {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

func TestContactEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		for range 12 {
			account.Convert("bia@exemplo.com.br", "orcamento", map[string]any{"cf_segmento": "padaria"})
			time.Sleep(time.Minute)
		}
		h := marketingHost(t, account, nil)
		for page, want := range []int{10, 2, 0} { // T27
			events, err := h.marketing.ContactEvents(t.Context(), h.conn(), uuid, "CONVERSION", page+1)
			if err != nil || len(events) != want {
				t.Fatalf("page %d: %d events, %v", page+1, len(events), err)
			}
			if want == 10 && (!events[0].At.After(events[9].At) || events[0].Identifier != "orcamento" || events[0].Type != "CONVERSION") {
				t.Errorf("%+v", events)
			}
		}
	})
}

func TestIdentifiers(t *testing.T) {
	for text, want := range map[string]string{
		"0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11": "uuid:0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11",
		"uuid:abc":                             "uuid:abc",
		"email: Bia@Exemplo.com.br ":           "email:bia@exemplo.com.br",
		"phone:+5581999990000":                 "phone:+5581999990000",
		"":                                     "", "email:": "", "email:x": "", "email:a b@c": "", "phone:abc": "", "phone:+": "", "name:x": "", "uuid:../x": "", "..": "",
	} {
		id, err := rdstation.ParseIdentifier(text)
		if (err == nil) != (want != "") || (err == nil && id.String() != want) {
			t.Errorf("%q: %v, %v", text, id, err)
		}
		if err != nil && !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := marketingHost(t, account, nil)
		c, m, ctx, none := h.conn(), h.marketing, t.Context(), rdstation.Identifier{}
		for name, err := range map[string]error{
			"tags": m.AddTags(ctx, c, none, "x"), "delete": m.DeleteContact(ctx, c, none),
			"read":   func() error { _, err := m.Contact(ctx, c, none); return err }(),
			"update": func() error { _, err := m.UpdateContact(ctx, c, none, nil); return err }(),
			"funnel": func() error { _, err := m.Funnel(ctx, c, none); return err }(),
			"set":    func() error { _, err := m.SetFunnel(ctx, c, none, nil); return err }(),
			"events": func() error { _, err := m.ContactEvents(ctx, c, "../x", "CONVERSION", 1); return err }(),
			"data":   func() error { _, err := m.UpdateContact(ctx, c, rdstation.ByUUID("a"), 7); return err }(),
			"custom": func() error {
				_, err := m.UpdateContact(ctx, c, rdstation.ByUUID("a"), rdstation.Contact{Custom: map[string]any{"name": 1}})
				return err
			}(),
		} {
			if !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := account.Stats().Requests; n != 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

// TestLiteralSigns looks at the path of an e-mail address on the wire (sheet Q32).
func TestLiteralSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		account := rdstationtest.New(rdstationtest.Options{OnRequest: func(r rdstationtest.Request) { paths = append(paths, r.URL) }})
		h := marketingHost(t, account, nil)
		_, _ = h.marketing.Contact(t.Context(), h.conn(), rdstation.ByEmail("a+b/c?d@exemplo.com.br"))
		if len(paths) != 1 || !strings.HasSuffix(paths[0], "/platform/contacts/email:a+b%2Fc%3Fd@exemplo.com.br") {
			t.Errorf("%q", paths)
		}
	})
}

// TestContentType is on every request, reads too (sheet 0.3).
func TestContentType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := seeded(rdstationtest.Options{Quirks: rdstationtest.Quirks{ContentTypeOnGet: true},
			OnRequest: func(r rdstationtest.Request) {
				if r.Header.Get("Content-Type") != "application/json" && r.Method != http.MethodDelete && !strings.Contains(r.URL, "/auth/") {
					t.Errorf("%s %s: %q", r.Method, r.URL, r.Header.Get("Content-Type"))
				}
			}})
		marketingHost(t, account, nil).syncAll(newInbox())
	})
}

func TestDecodeTraffic(t *testing.T) {
	sessions := `{"first_session":{"value":"utm_source=news"},"current_session":{"value":"(none)?>"}}`
	want := rdstation.Traffic{First: "utm_source=news", Current: "(none)?>"}
	for name, test := range map[string]struct {
		source string
		want   rdstation.Traffic
	}{
		"plain":        {"google", rdstation.Traffic{Current: "google"}},
		"padded":       {"encoded_" + base64.StdEncoding.EncodeToString([]byte(sessions)), want},
		"not padded":   {"encoded_" + base64.RawStdEncoding.EncodeToString([]byte(sessions)), want},
		"for URLs":     {"encoded_" + base64.URLEncoding.EncodeToString([]byte(sessions)), want},
		"no base64":    {"encoded_***", rdstation.Traffic{}},
		"no JSON":      {"encoded_" + base64.StdEncoding.EncodeToString([]byte("x")), rdstation.Traffic{}},
		"one session":  {"encoded_" + base64.StdEncoding.EncodeToString([]byte(`{"current_session":{}}`)), rdstation.Traffic{}},
		"no source":    {"", rdstation.Traffic{}},
		"another form": {"encoded_" + base64.StdEncoding.EncodeToString([]byte(`{"first_session":7}`)), rdstation.Traffic{}},
	} {
		if got := rdstation.DecodeTraffic(test.source); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
