// Package browser drives the admin in a real browser.
package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe.min.js
var axeSource string

// stepTimeout bounds what a test waits for in the browser; a healthy one takes a
// fraction of a second.
const stepTimeout = 30 * time.Second

var (
	startBrowser sync.Once
	allocator    context.Context
	endBrowser   = func() {}
)

func TestMain(m *testing.M) {
	code := m.Run()
	endBrowser()
	os.Exit(code)
}

// executable finds the browser, or "".
func executable() string {
	for _, name := range []string{os.Getenv("ENLACE_TEST_BROWSER"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	return ""
}

// tab is one page of the browser, with what it has complained about.
type tab struct {
	t   *testing.T
	ctx context.Context
	end context.CancelFunc

	mu         sync.Mutex
	complaints []string
	dialogs    int
	requests   map[network.RequestID]string
	failed     []string // addresses that answered 400 and more
	bytes      float64  // on the wire
	addresses  []string
}

// watchPolicy notes what the content policy has stopped, before any script runs.
const watchPolicy = `window.violations = []; document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber))`

// newTab opens a page without cookies, or beside another tab with those of that one.
func newTab(t *testing.T, sibling *tab) *tab {
	t.Helper()
	path := executable()
	if path == "" {
		t.Skip("no browser: apt-get install chromium, or name one in ENLACE_TEST_BROWSER")
	}
	startBrowser.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("lang", "en"), chromedp.Flag("hide-scrollbars", true), chromedp.WindowSize(1280, 900))
		ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
		browser, cancelBrowser := chromedp.NewContext(ctx)
		if err := chromedp.Run(browser); err != nil {
			panic(err)
		}
		allocator, endBrowser = browser, func() { cancelBrowser(); cancel() }
	})
	b := &tab{t: t, requests: map[network.RequestID]string{}}
	b.ctx, b.end = chromedp.NewContext(allocator)
	t.Cleanup(b.end)
	chromedp.ListenTarget(b.ctx, b.listen)
	b.run(network.Enable(), log.Enable(), runtime.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(watchPolicy).Do(ctx)
		return err
	}))
	if sibling == nil {
		b.run(network.ClearBrowserCookies(), network.ClearBrowserCache())
	}
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		b.dialogs++
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "status of 4") {
			b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		b.requests[e.RequestID] = e.Request.URL
		b.addresses = append(b.addresses, e.Request.URL)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			b.failed = append(b.failed, fmt.Sprintf("%d %s", e.Response.Status, e.Response.URL))
		}
	case *network.EventLoadingFinished:
		b.bytes += e.EncodedDataLength
	}
}

// run carries out actions within the step timeout.
func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	// The first Run of a tab must not have a deadline, or the tab ends with it.
	if chromedp.FromContext(b.ctx).Target == nil {
		if err := chromedp.Run(b.ctx); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// open goes to an address and waits until it has loaded.
func (b *tab) open(address string) {
	b.t.Helper()
	b.run(chromedp.Navigate(address))
}

// eval is the value of an expression.
func (b *tab) eval(expression string, value any) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, value, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// wait waits until an expression is true, also across the way to another page.
func (b *tab) wait(expression string) {
	b.t.Helper()
	var err error
	for deadline := time.Now().Add(stepTimeout); time.Now().Before(deadline); <-time.After(15 * time.Millisecond) {
		var ok bool
		if err = chromedp.Run(b.ctx, chromedp.Evaluate("!!("+expression+")", &ok)); ok {
			return
		}
	}
	var body string
	b.eval("document.body.innerText", &body)
	b.t.Fatalf("never true: %s (%v)\n%s", expression, err, body)
}

// text waits until the page shows a text.
func (b *tab) text(text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(text)
	b.wait(`document.body.innerText.includes(` + string(quoted) + `)`)
}

// submit presses the button of a form and waits for the next page.
func (b *tab) submit(selector string) {
	b.t.Helper()
	b.eval(`window.leftBehind = true`, nil)
	b.run(chromedp.Click(selector, chromedp.ByQuery))
	b.wait(`!window.leftBehind && document.readyState === 'complete'`)
}

// healthy fails for anything that the page has complained about since the last time.
func (b *tab) healthy(where string) {
	b.t.Helper()
	var violations []string
	b.eval(`window.violations || []`, &violations)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range violations {
		b.t.Errorf("%s: the content policy stopped %s", where, v)
	}
	for _, c := range b.complaints {
		b.t.Errorf("%s: %s", where, c)
	}
	if b.dialogs > 0 {
		b.t.Errorf("%s: %d dialogs", where, b.dialogs)
	}
	b.complaints = nil
}

// accessible fails for anything that axe finds against WCAG 2.2 AA.
func (b *tab) accessible(where string) {
	b.t.Helper()
	var loaded bool
	b.eval(`!!window.axe`, &loaded)
	if !loaded {
		b.eval(axeSource+"\n;true", nil)
	}
	var found []struct {
		ID    string
		Help  string
		Nodes []struct {
			HTML           string
			FailureSummary string
		}
	}
	b.eval(`axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa']}, resultTypes: ['violations']}).then(r => r.violations)`, &found)
	for _, v := range found {
		for _, node := range v.Nodes[:min(2, len(v.Nodes))] {
			b.t.Errorf("%s: %s: %s\n\t%s\n\t%s", where, v.ID, v.Help, node.HTML, strings.ReplaceAll(node.FailureSummary, "\n", " "))
		}
	}
}

// close ends the tab before the test does.
func (b *tab) close() { b.end() }
