package browser

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestSchedules: a schedule is refused with reasons at its fields, made and paused.
func TestSchedules(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	b := newTab(t, nil)
	b.choose(h, look{"pt-BR", "light"})
	b.open(h.base + "schedules?integration=" + in.ID)
	b.run(chromedp.SetValue(`#spec`, "a cada hora", chromedp.ByQuery))
	b.submit(`form.form button[type=submit]`)
	b.text("nem um intervalo nem cinco campos do cron")
	b.healthy("refused")
	b.accessible("refused")
	var focused string
	b.eval(`document.activeElement.id`, &focused)
	if focused != "faults" {
		t.Errorf("the focus is on %q", focused)
	}
	b.run(chromedp.SetValue(`#spec`, "every 1h", chromedp.ByQuery))
	b.submit(`form.form button[type=submit]`)
	b.text("Agendamento salvo.")
	b.submit(`#live button[name=do][value=pause]`)
	b.text("Agendamento em pausa.")
	b.healthy("paused")
	b.accessible("paused")
}

// TestBulk: several integrations are chosen, confirmed and changed, with script and
// without; what was chosen stays chosen while the list refreshes itself.
func TestBulk(t *testing.T) {
	h := newHost(t, hostOptions{})
	first, second := h.connected("Vendas"), h.connected("Loja")
	b := newTab(t, nil)
	b.open(h.base + "i")
	b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
	b.run(chromedp.Click(`[data-select-all]`, chromedp.ByQuery))
	if _, err := h.service.CheckHealth(t.Context(), first.Ref); err != nil { // tells the page to refresh itself
		t.Fatal(err)
	}
	b.wait(`document.querySelectorAll('[data-select]:checked').length === 2`)
	b.submit(`button[formaction$="bulk/disable"]`)
	b.text("These 2 integrations are switched off")
	b.accessible("confirmation")
	b.submit(`button[name=confirm]`)
	b.text("2 of 2 done.")
	b.healthy("bulk")
	b.accessible("bulk")

	b.run(emulation.SetScriptExecutionDisabled(true))
	b.open(h.base + "i")
	b.run(chromedp.Click(`input[name=id][value="`+second.ID+`"]`, chromedp.ByQuery), chromedp.Click(`button[formaction$="bulk/enable"]`, chromedp.ByQuery),
		chromedp.WaitVisible(`button[name=confirm]`, chromedp.ByQuery), chromedp.Click(`button[name=confirm]`, chromedp.ByQuery), chromedp.WaitVisible(`ul.card.attention`, chromedp.ByQuery))
	for id, want := range map[string]bool{first.ID: false, second.ID: true} {
		in, err := h.service.Get(t.Context(), enlace.Ref{Tenant: first.Tenant, ID: id})
		if err != nil || in.Enabled != want {
			t.Errorf("%s: enabled %v, %v", in.Name, in.Enabled, err)
		}
	}
}

// TestRefusedRecord: what the host's system did not accept is edited with its faults
// shown, tried again, and discarded once that is confirmed.
func TestRefusedRecord(t *testing.T) {
	h := newHost(t, hostOptions{})
	i := "i/" + h.full()["integration"]
	b := newTab(t, nil)
	b.choose(h, look{"pt-BR", "dark"})
	b.open(h.base + i + "/aside/item?entity=contacts&record=" + unwelcome)
	b.run(chromedp.SetValue(`#data`, "{oops", chromedp.ByQuery))
	b.submit(`button[value=edit]`)
	b.text("Os dados não são um objeto JSON.")
	b.healthy("refused")
	b.accessible("refused")
	b.run(chromedp.SetValue(`#data`, `{"name":"Ana"}`, chromedp.ByQuery))
	b.submit(`button[value=redrive-edited]`)
	b.text("A próxima execução tenta de novo.")
	b.run(chromedp.Click(`[data-select-all]`, chromedp.ByQuery))
	b.submit(`form[action$="/aside"] button`)
	b.text("aguardando")
	b.submit(`a[href*="record=` + unwelcome + `"]`)
	b.submit(`button[value=discard]`)
	b.text("são esquecidos")
	b.healthy("confirmation")
	b.accessible("confirmation")
	b.fits("confirmation")
	b.submit(`button[name=confirm]`)
	b.text("Registro descartado.")
	b.healthy("discarded")
}

// TestKeys: rows are walked through and chosen by keys, and one key leads to the list of keys.
func TestKeys(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.connected("Vendas")
	h.connected("Loja")
	b := newTab(t, nil)
	b.open(h.base + "i")
	row := `[...document.querySelectorAll('tbody tr')].findIndex(r => r.contains(document.activeElement))`
	for _, step := range []struct {
		key string
		row int
	}{{"j", 0}, {"j", 1}, {"j", 1}, {"k", 0}} {
		var now int
		b.run(chromedp.KeyEvent(step.key))
		b.eval(row, &now)
		if now != step.row {
			t.Errorf("after %s the focus is in row %d, want %d", step.key, now, step.row)
		}
	}
	b.run(chromedp.KeyEvent("x"))
	b.wait(`document.querySelectorAll('[data-select]:checked').length === 1`)
	b.run(chromedp.KeyEvent("?"))
	b.text("Keyboard shortcuts")
	b.healthy("keys")
}

// TestSuggest: fields are proposed with their reasons, chosen, and become a draft.
func TestSuggest(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	b := newTab(t, nil)
	b.choose(h, look{"pt-BR", "dark"})
	b.open(h.base + "i/" + in.ID + "/mappings/contacts/suggest")
	b.run(chromedp.SetValue(`#fields`, "nome: text\nemail", chromedp.ByQuery))
	b.submit(`button[name=do][value=suggest]`)
	b.text("Propostas")
	b.healthy("proposals")
	b.accessible("proposals")
	b.fits("proposals")
	b.submit(`button[name=do][value=accept]`)
	b.text("rascunho")
	var document string
	b.eval(`JSON.stringify(JSON.parse(document.getElementById('document').value).fields.map(f => f.to).sort())`, &document)
	if document != `["email","nome"]` {
		t.Errorf("the draft maps %s", document)
	}
}

// TestFrames: a page that the host has named shows the admin in a frame, and it works
// there; another one does not.
func TestFrames(t *testing.T) {
	var framed http.Handler
	h := newHost(t, hostOptions{base: "/integrations/", mount: func(inner http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/integrations/", inner)
		mux.HandleFunc("/framed/", func(w http.ResponseWriter, r *http.Request) { framed.ServeHTTP(w, r) })
		mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>host</title><iframe title="admin" width="1000" height="700" src="` + r.URL.Query().Get("to") + `"></iframe>`))
		})
		return mux
	}})
	handler := admin.Handler(h.service, admin.Options{SourceTimeout: time.Minute, FrameAncestors: []string{h.server.URL}, Authorize: func(*http.Request) (admin.Access, error) {
		return admin.Access{User: "ana", Grants: admin.Administrator}, nil
	}})
	t.Cleanup(handler.Close)
	framed = http.StripPrefix("/framed", handler)
	in := h.connected("Vendas")
	b := newTab(t, nil)
	b.open(h.server.URL + "/page?to=" + url.QueryEscape("/framed/i/"+in.ID))
	inside := `document.querySelector('iframe').contentDocument?.`
	b.wait(inside + `querySelector('h1')?.textContent === 'Vendas'`)
	b.eval(inside+`querySelector('form[action$="/disable"] button').click()`, nil)
	b.wait(inside + `body?.innerText.includes('Integration disabled.')`)
	b.healthy("framed")
	b.open(h.server.URL + "/page?to=" + url.QueryEscape("/integrations/i/"+in.ID)) // the load event waits for the frame
	var shown bool
	b.eval(`!!`+inside+`querySelector('h1')`, &shown)
	if shown {
		t.Error("a page that nobody has named shows the admin in a frame")
	}
}
