package browser

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// look is how a page is seen.
type look struct{ language, theme string }

// choose sets language and theme by the settings' form.
func (b *tab) choose(h *host, l look) {
	b.t.Helper()
	b.open(h.base + "settings")
	b.eval(`document.getElementById('language').value = '`+l.language+`'; document.getElementById('theme').value = '`+l.theme+`'`, nil)
	b.submit(`form button[type=submit]`)
}

// pagesOf are all pages of a host by name.
func pagesOf(ids map[string]string) map[string]string {
	i := "i/" + ids["integration"]
	return map[string]string{
		"overview": "", "integrations": "i", "filtered to nothing": "i?q=zzz", "integration": i, "edit": i + "/edit", "connect": i + "/connect", "delete": i + "/delete",
		"broken integration": "i/" + ids["broken"], "providers": "new", "new": "new/fake", "runs": "runs", "run": "runs/" + ids["run"],
		"health": "health", "metrics": "metrics", "audit": "audit", "flags": "flags", "webhooks": "webhooks", "delivery": "webhooks/" + ids["delivery"], "outbox": "outbox",
		"outgoing change": "outbox/item?integration=" + ids["integration"] + "&entity=contacts&id=c1", "conflicts": "conflicts", "mappings": i + "/mappings", "mapping": i + "/mappings/contacts/1",
		"suggest": i + "/mappings/contacts/suggest", "put aside": i + "/aside", "refused record": i + "/aside/item?entity=contacts&record=" + unwelcome, "schedules": "schedules", "schedules of one": "schedules?integration=" + ids["integration"],
		"schedule": "schedules/" + ids["schedule"], "doctor": "doctor", "logs": "logs",
		"deletions": i + "/deletions", "console": "console?integration=" + ids["integration"], "api": "api", "settings": "settings", "not found": "nothing",
	}
}

// TestPages: every page, in both languages and both themes, keeps the content policy
// and WCAG 2.2 AA, names what it shows, and fits 320 px.
func TestPages(t *testing.T) {
	h := newHost(t, hostOptions{})
	ids := h.full()
	b := newTab(t, nil)
	for _, l := range []look{{"pt-BR", "light"}, {"en", "dark"}} {
		b.choose(h, l)
		for name, path := range pagesOf(ids) {
			where := l.language + " " + l.theme + " " + name
			b.open(h.base + path)
			b.healthy(where)
			b.accessible(where)
			if l.language == "pt-BR" { // the longer words
				b.fits(where)
			}
		}
	}
	for _, address := range b.addresses {
		if !strings.HasPrefix(address, h.base) && !strings.HasPrefix(address, "data:") {
			t.Errorf("the browser was sent to %s", address)
		}
	}
}

// fits fails if the page scrolls sideways at 320 px, which is also 1280 px at 400 %.
func (b *tab) fits(where string) {
	b.t.Helper()
	var widths []int
	b.run(emulation.SetDeviceMetricsOverride(320, 640, 1, false))
	b.eval(`[document.documentElement.scrollWidth, innerWidth]`, &widths)
	if widths[0] > 320 {
		var wide []string
		b.eval(`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 321 && !e.closest('.scroll, pre, .side')).slice(0, 3).map(e => e.outerHTML.slice(0, 120))`, &wide)
		b.t.Errorf("%s: %d px wide at 320: %s", where, widths[0], wide)
	}
	b.run(emulation.ClearDeviceMetricsOverride())
}

// TestStates: pages without anything, with forms refused, with conflicts, and with
// sources that fail or hang.
func TestStates(t *testing.T) {
	h := newHost(t, hostOptions{})
	b := newTab(t, nil)
	check := func(name, text string) {
		t.Helper()
		b.text(text)
		b.healthy(name)
		b.accessible(name)
	}
	b.choose(h, look{"pt-BR", "dark"})
	for path, text := range map[string]string{"": "Comece aqui", "i": "Ainda não há nenhuma integração", "runs": "Nenhuma execução ainda", "console": "Nenhum teste ainda",
		"schedules": "Ainda não há agendamento", "doctor": "Ninguém olhou ainda"} {
		b.open(h.base + path)
		check("empty "+path, text)
	}
	// A refused form: the summary has the focus and leads to the fields.
	b.open(h.base + "new/fake")
	b.eval(`document.querySelector('details').open = true; document.getElementById('setting.timeout').value = '1'; document.querySelector('[name=name]').value = ' '; document.querySelector('form').noValidate = true`, nil)
	b.submit(`form.form button[type=submit]`)
	check("refused form", "Há um problema")
	var focused string
	b.eval(`document.activeElement.id`, &focused)
	if focused != "faults" {
		t.Errorf("the focus is on %q", focused)
	}
	in := h.connected("Vendas")
	// A conflict: somebody else saves while the form is open.
	b.open(h.base + "i/" + in.ID + "/edit")
	changed := in
	changed.Name = "Vendas SP"
	if _, err := h.service.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	b.eval(`document.querySelector('[name=name]').value = 'Vendas RJ'`, nil)
	b.submit(`form.form button[type=submit]`)
	check("conflict", "Outra pessoa salvou antes")
	b.run(chromedp.Click(`input[name=name][value="Vendas SP"]`, chromedp.ByQuery))
	b.submit(`form.form button[type=submit]`)
	check("nothing to save", "Nada mudou")
	b.submit(`button[value=edit]`)
	b.eval(`document.querySelector('[name=name]').value = 'Vendas RJ'; document.querySelector('[name="setting.timeout"]').value = '9000'`, nil)
	b.submit(`form.form button[type=submit]`)
	check("review", "2 campos mudam")
	b.fits("review")
	b.submit(`button[value=save]`)
	check("resolved", "Alterações salvas")
	// A mapping is compared line by line.
	b.open(h.base + "i/" + in.ID + "/mappings/contacts/0")
	b.eval(`document.getElementById('document').value = '{"name":"contacts","fields":[{"from":"name","to":"nome"}]}'`, nil)
	b.submit(`button[value=review]`)
	check("review of a mapping", "O que muda no documento")
	b.fits("review of a mapping")
	b.submit(`button[value=save]`)
	check("draft", "rascunho")

	for _, mood := range []string{"fail", "hang"} {
		h.store.mood.Store(mood)
		b.open(h.base)
		check("a source that "+mood+"s", "Estes dados não estão disponíveis agora")
		b.text("Integrações conectadas") // the rest is there
	}
}

// TestWithoutScript: what matters works with script switched off.
func TestWithoutScript(t *testing.T) {
	h := newHost(t, hostOptions{})
	b := newTab(t, nil)
	b.run(emulation.SetScriptExecutionDisabled(true))
	b.open(h.base + "new/fake")
	b.run(chromedp.SetValue(`[name=name]`, "Sem script", chromedp.ByQuery), chromedp.Click(`form.form button[type=submit]`, chromedp.ByQuery),
		chromedp.WaitVisible(`#callback`, chromedp.ByQuery))
	b.open(h.base + "i")
	b.run(chromedp.WaitVisible(`//a[contains(., "Sem script")]`, chromedp.BySearch))
}

// TestScreenshots writes pictures of the main pages into the folder that
// ENLACE_SCREENSHOTS names, for the README.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("ENLACE_SCREENSHOTS")
	if dir == "" {
		return // nobody wants them
	}
	h := newHost(t, hostOptions{})
	ids := h.full()
	b := newTab(t, nil)
	b.run(chromedp.EmulateViewport(1100, 760))
	picture := func(name string) {
		b.wait(`!document.querySelector('[sse-connect]') || document.getElementById('live-state').dataset.now === 'open'`)
		var data []byte
		b.run(chromedp.CaptureScreenshot(&data))
		if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.choose(h, look{"pt-BR", "light"})
	b.open(h.base)
	picture("overview")
	b.open(h.base + "i/" + ids["integration"])
	picture("integration")
	b.open(h.base + "console?" + url.Values{"integration": {ids["integration"]}}.Encode())
	b.submit(`.buttons button.primary`)
	b.text("Tudo certo")
	picture("console")
	b.open(h.base + "health")
	picture("health")
	b.open(h.base + "metrics?range=1h")
	picture("metrics")
	b.choose(h, look{"pt-BR", "dark"})
	b.open(h.base)
	picture("overview-dark")
}
