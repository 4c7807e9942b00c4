package browser

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
)

// TestLive: a page follows what happens without losing the reader's place.
func TestLive(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	b := newTab(t, nil)
	b.open(h.base)
	b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
	b.eval(`document.querySelector('.data').open = true; document.querySelector('.attention a, .cards a').focus(); window.stays = document.querySelector('.cards'); window.focused = document.activeElement`, nil)
	if _, err := h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	b.wait(`document.querySelectorAll('tr[id^=run-]').length === 1`)
	var kept bool
	b.eval(`document.querySelector('.data').open && document.activeElement === window.focused && document.contains(window.stays)`, &kept)
	if !kept {
		t.Error("the update closed what was open, or took the focus")
	}
	// Paused, nothing moves; then it catches up.
	b.run(chromedp.Click(`#live-pause`, chromedp.ByQuery))
	if _, err := h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	b.open(h.base + "i")
	b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
	if _, err := h.service.Disable(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	b.text("disabled")
	b.healthy("live")
}

// TestLogsFollow: new log lines come by themselves, unless the reader is further down; the
// page catches up when they are back at the top.
func TestLogsFollow(t *testing.T) {
	buffer := enlace.NewLogBuffer(400, nil)
	logger := slog.New(buffer)
	h := newHost(t, hostOptions{options: admin.Options{Logs: buffer}})
	for i := range 150 {
		logger.Info(fmt.Sprintf("page %d", i))
	}
	b := newTab(t, nil)
	b.open(h.base + "logs")
	b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
	// A line that comes before the stream has begun to look is followed by others.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing sync.WaitGroup
	writing.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				logger.Info("a first sign of life")
			}
		}
	})
	b.text("a first sign of life")
	cancel()
	writing.Wait()
	b.run(chromedp.Evaluate(`window.scrollTo(0, 3000)`, nil))
	b.wait(`scrollY > 200`)
	logger.Info("while reading")
	var still bool
	b.eval(`new Promise(done => setTimeout(() => { // behind the pause between two updates
		let asked = 0, stopped = 0
		document.body.addEventListener('htmx:beforeRequest', event => { asked++; stopped += event.defaultPrevented })
		document.getElementById('live').dispatchEvent(new Event('poll'))
		done(asked > 0 && asked === stopped && !document.body.innerText.includes('while reading'))
	}, 800))`, &still)
	if !still {
		t.Error("the page moved under the reader")
	}
	b.run(chromedp.Evaluate(`window.scrollTo(0, 0)`, nil))
	b.text("while reading")
	b.healthy("logs")
}

// TestSevenTabs: more tabs than browsers open connections share one stream, and
// all follow.
func TestSevenTabs(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	first := newTab(t, nil)
	tabs := []*tab{first}
	for range 7 {
		tabs = append(tabs, newTab(t, first))
	}
	for _, b := range tabs {
		b.open(h.base + "i")
	}
	for i, b := range tabs {
		b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
		if n := h.streams.Load(); n != 1 {
			t.Fatalf("%d streams are open with %d tabs", n, i+1)
		}
	}
	changed, err := h.service.Get(t.Context(), in.Ref)
	if err != nil {
		t.Fatal(err)
	}
	changed.Name = "Renamed"
	if _, err := h.service.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	for i, b := range tabs {
		// A tab in the background waits until it is looked at.
		b.run(chromedp.ActionFunc(bringToFront))
		b.text("Renamed")
		b.healthy(fmt.Sprint("tab ", i))
	}
}

// TestHostile: names and texts that want to be more than text stay text.
func TestHostile(t *testing.T) {
	h := newHost(t, hostOptions{})
	b := newTab(t, nil)
	names := []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, "\u202egnp.exe", `{{.Secret}}`, `' onmouseover='alert(1)`, `</title><svg onload=alert(1)>`}
	for _, name := range names {
		in := h.create(enlace.NewIntegration{Provider: fake.Name, Name: name, Settings: map[string]string{"apiUrl": h.fakeURL}})
		for _, path := range []string{"", "/edit", "/delete", "/connect"} {
			b.open(h.base + "i/" + in.ID + path)
			b.text(name)
			b.healthy(name + path)
		}
	}
	for _, path := range []string{"", "i", "console", "runs", "i?q=%3Cscript%3Ealert(1)%3C/script%3E&state=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E"} {
		b.open(h.base + path)
		b.healthy(path)
	}
	var injected int
	b.open(h.base + "i")
	b.eval(`document.querySelectorAll('main script, main img, main [onerror], main [onload], main [onmouseover]').length`, &injected)
	if injected > 0 {
		t.Errorf("%d elements came out of texts", injected)
	}
	// The content policy stops what would get through all the same.
	b.eval(`(() => { try { document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = 1">') } catch {} })()`, nil)
	var ran bool
	b.eval(`new Promise(done => setTimeout(() => done(!!window.ran), 100))`, &ran)
	if ran {
		t.Error("an inline handler ran")
	}
}
