package zapsigntest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// names returns the names of a list's rows.
func names(r reply) []string {
	names := []string{}
	rows, _ := r.at("results").([]any)
	for i := range rows {
		names = append(names, r.str(fmt.Sprintf("results.%d.name", i)))
	}
	return names
}

// numbered seeds documents that are named after their number.
func numbered(api *zapsigntest.API, n int) []string {
	return api.Seed(zapsigntest.Seed{Count: n, Change: func(i int, d *zapsigntest.SeededDoc) { d.Name = fmt.Sprintf("%03d", i) }})
}

func TestF24Envelope(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	numbered(api, 60)
	first := get(t, api, "docs/?sort_order=asc&deleted=false&api_token="+token).want(t, 200, map[string]string{"count": "60", "previous": "null"})
	if got := names(first); len(got) != 25 || got[0] != "000" {
		t.Errorf("%v", got)
	}
	base := "http://sandbox.api.zapsign.com.br/api/v1/docs/?"
	want := base + url.Values{"api_token": {token}, "deleted": {"false"}, "page": {"2"}, "sort_order": {"asc"}}.Encode()
	if first.at("next") != want {
		t.Errorf("next %v, want %s", first.at("next"), want)
	}
	last := get(t, api, "docs/?sort_order=asc&page=3").want(t, 200, map[string]string{"count": "60", "next": "null", "previous": `"` + base + `page=2&sort_order=asc"`})
	if got := names(last); len(got) != 10 || got[9] != "059" {
		t.Errorf("%v", got)
	}
	quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{NextHTTPS: true}})
	numbered(quirky, 26)
	if next := get(t, quirky, "docs/").str("next"); !strings.HasPrefix(next, "https://") {
		t.Errorf("next %s", next)
	}
}

func TestF25PlainHTTPIsRedirectedBeforeCredentials(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	numbered(api, 26)
	next := get(t, api, "docs/").str("next")
	r := get(t, api, next)
	location := r.header.Get("Location")
	if r.status != 301 || location != strings.Replace(next, "http://", "https://", 1) {
		t.Fatalf("%d to %s", r.status, location)
	}
	if r := plain(t, api, location); r.status != 403 { // a client that lost its header on the way
		t.Errorf("%d", r.status)
	}
	if r := get(t, api, location); r.status != 200 {
		t.Errorf("%d", r.status)
	}
}

func TestF26Filters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{ListCache: -1})
		named := func(name, more string, signers ...string) (string, []string) {
			if len(signers) == 0 {
				signers = []string{signerInput("Ana", "")}
			}
			return tokens(post(t, api, "docs/", `{"name":"`+name+`","base64_pdf":"`+pdf+`"`+more+`,"signers":[`+strings.Join(signers, ",")+`]}`))
		}
		named("pending", `,"folder_path":"/crm/1"`)
		time.Sleep(24*time.Hour - time.Second) // the last second of the first day
		_, s := named("signed", "", signerInput("Ana", `"email":"Ana@example.com"`))
		if err := api.Sign(s[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the first of the second day
		canceled, _ := named("canceled", "")
		post(t, api, "refuse/", `{"doc_token":"`+canceled+`","rejected_reason":"x"}`)
		time.Sleep(24 * time.Hour)
		deleted, _ := named("deleted", `,"folder_path":"/crm/1"`)
		post(t, api, "docs/"+deleted+"/upload-extra-doc/", `{"name":"extra","base64_pdf":"`+pdf+`"}`)
		call(t, api, "DELETE", "docs/"+deleted+"/", "")
		for query, want := range map[string][]string{
			"":                             {"pending", "signed", "canceled", "deleted", "extra"},
			"status=pending":               {"pending", "deleted", "extra"},
			"status=signed":                {"signed"},
			"status=refused":               {"canceled"},
			"status=recusado":              {"pending", "signed", "canceled", "deleted", "extra"}, // no such filter
			"folder_path=/crm/1":           {"pending", "deleted"},
			"folder_path=/crm/1/":          {"pending", "deleted"},
			"folder_path=/crm/":            {},
			"folder_path=/":                {"signed", "canceled"},
			"deleted=true":                 {"deleted", "extra"},
			"deleted=false":                {"pending", "signed", "canceled"},
			"signer_email=ana@example.com": {"signed"},
			"created_from=2000-01-02":      {"canceled", "deleted", "extra"},
			"created_to=2000-01-01":        {"pending", "signed"},
			"created_from=2000-01-01&created_to=2000-01-01&status=signed": {"signed"},
			"created_from=2000-01-02T00:00:00Z&limit=1&external_id=x":     {"pending", "signed", "canceled", "deleted", "extra"},
			"deleted=maybe&sort_order=asc":                                {"pending", "signed", "canceled", "deleted", "extra"},
		} {
			if diff := cmp.Diff(want, names(get(t, api, "docs/?sort_order=asc&"+query))); diff != "" {
				t.Errorf("%s: %s", query, diff)
			}
			if query == "" {
				slices.Reverse(want)
				if diff := cmp.Diff(want, names(get(t, api, "docs/?sort_order=desc"))); diff != "" {
					t.Errorf("descending: %s", diff)
				}
			}
		}
		strict := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{StrictFilters: true}})
		for _, query := range []string{"status=x", "deleted=x", "sort_order=x", "created_from=x", "created_to=x", "folder_path=/a//b/"} {
			if r := get(t, strict, "docs/?"+query); r.status != 400 {
				t.Errorf("%s: %d", query, r.status)
			}
		}
	})
}

func TestF27Defaults(t *testing.T) {
	for _, quirks := range []zapsigntest.Quirks{{}, {AscendingByDefault: true, LiveByDefault: true}} {
		api := sandbox(t, zapsigntest.Options{Quirks: quirks})
		docs := numbered(api, 3)
		call(t, api, "DELETE", "docs/"+docs[1]+"/", "")
		want := []string{"002", "001", "000"}
		if quirks.AscendingByDefault {
			want = []string{"000", "002"}
		}
		if diff := cmp.Diff(want, names(get(t, api, "docs/"))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestF28Rows(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{ListRefused: "refused"}})
	d, _ := tokens(create(t, api, ""))
	post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo","base64_pdf":"`+pdf+`"}`)
	post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"x"}`)
	r := get(t, api, "docs/?sort_order=asc&include_signers=true").want(t, 200, map[string]string{
		"count": "2", "results.0.external_id": "null", "results.1.name": `"Anexo"`, "results.0.status": `"refused"`, "results.1.status": `"refused"`,
	})
	want := []string{"created_at", "created_through", "deleted", "external_id", "folder_path", "last_update_at", "name", "open_id", "original_file", "signed_file", "status", "token"}
	for i := range 2 {
		keys := []string{}
		for key := range r.at(fmt.Sprintf("results.%d", i)).(map[string]any) {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if i == 0 {
			keys = slices.DeleteFunc(keys, func(key string) bool { return key == "signers" })
		}
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("row %d: %s", i, diff)
		}
	}
	if !r.has("results.0", "signers") || r.has("results.1", "signers") {
		t.Error("main documents have signers, extra ones have none")
	}
}

func TestF29SignersOfRows(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{ListCache: -1})
	_, s := tokens(create(t, api, `"allow_refuse_signature":true`, signerInput("Ana", `"email":"ana@example.com"`), signerInput("Beto", "")))
	statuses := func(query string) string {
		t.Helper()
		r := get(t, api, "docs/?"+query)
		return r.str("results.0.signers.0.status") + " " + r.str("results.0.signers.1.status")
	}
	for _, query := range []string{"include_signers=true", "include_signers=1", "include_signers=yes"} {
		if got := statuses(query); got != "nao_abriu nao_abriu" {
			t.Errorf("%s: %s", query, got)
		}
	}
	if get(t, api, "docs/?include_signers=no").has("results.0", "signers") {
		t.Error("signers without being asked")
	}
	act := func(err error, want string) {
		t.Helper()
		if got := statuses("include_signers=1"); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	act(api.Open(s[0]), "abriu nao_abriu")
	act(api.Sign(s[0]), "assinou nao_abriu")
	r := get(t, api, "docs/?include_signers=1")
	if r.str("results.0.signers.0.link_para_assinar") != "https://sandbox.app.zapsign.com.br/verificar/"+s[0] || r.at("results.0.signers.0.data_hora_assinatura") == nil ||
		r.at("results.0.signers.0.data_hora_primeira_abertura") == nil || r.at("results.0.signers.1.email") != nil || r.str("results.0.signers.0.nome") != "Ana" {
		t.Error(r.text)
	}
	act(api.Refuse(s[1], "Valor divergente do combinado"), "recusou recusou")
	d, _ := tokens(create(t, api, "", signerInput("Ana", ""), signerInput("Beto", "")))
	post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"x"}`)
	act(nil, "cancelado cancelado")

	api = sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{DocumentedListSigners: true}})
	create(t, api, "")
	r = get(t, api, "docs/?include_signers=1")
	if r.str("results.0.signers.0.name") != "Ana Prado" || r.str("results.0.signers.0.signing_url") == "" || r.has("results.0.signers.0", "nome") {
		t.Error(r.text)
	}
}

func TestF29SignersOfExpiredDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		create(t, api, `"date_limit_to_sign":"2000-01-01"`)
		time.Sleep(25 * time.Hour)
		get(t, api, "docs/?include_signers=1").want(t, 200, map[string]string{"results.0.status": `"pending"`, "results.0.signers.0.status": `"expirou"`})
	})
}

func TestF30Cache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		create(t, api, "")
		first := get(t, api, "docs/?page=1")
		create(t, api, "")
		time.Sleep(59 * time.Second)
		if got := get(t, api, "docs/?page=1"); got.text != first.text {
			t.Error("another body within a minute")
		}
		get(t, api, "docs/?page=1&status=pending").want(t, 200, map[string]string{"count": "2"}) // another query
		time.Sleep(time.Second)
		get(t, api, "docs/?page=1").want(t, 200, map[string]string{"count": "2"})
		off := sandbox(t, zapsigntest.Options{ListCache: -1})
		get(t, off, "docs/")
		create(t, off, "")
		get(t, off, "docs/").want(t, 200, map[string]string{"count": "1"})
	})
}

func TestF31PastTheEnd(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	get(t, api, "docs/").want(t, 200, map[string]string{"count": "0", "results": "[]", "next": "null"})
	numbered(api, 25)
	for _, page := range []string{"2", "99", "0", "-1", "x", "99999999999999999999"} {
		get(t, api, "docs/?page="+page).wantText(t, 404, `{"detail":"Página inválida."}`)
	}
	quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{EmptyPastEnd: true}})
	get(t, quirky, "docs/?page=9").want(t, 200, map[string]string{"count": "0", "results": "[]"})
}

func TestTheCacheStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{RateLimit: -1})
		for i := range 2500 {
			if r := get(t, api, fmt.Sprintf("docs/?x=%d", i)); r.status != http.StatusOK {
				t.Fatal(r.status)
			}
			time.Sleep(time.Second)
		}
	})
}
