package bitrix24test

import (
	"net/url"
	"strconv"
	"time"
)

// application is the state of the portal's application; the mutex of the tokens guards it.
type application struct {
	version  int
	finished bool // its installation is
	token    string
	callback string
	payment  Payment
}

// Payment is what a portal says about the application's subscription (ONAPPPAYMENT, app.info).
type Payment struct {
	Status  string // L local, F free, D demo, T trial, P paid, S subscription
	Expired bool
	Days    int // that are left
}

func (p *Portal) application() application {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	return p.app
}

// listening tells whether events may be sent to the application (F59).
func (p *Portal) listening() bool {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	return p.installed && p.app.finished
}

func (p *Portal) isAdmin(userID int) bool {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	return !p.employees[userID]
}

// SetAdmin says whether a user is an administrator, as all are at first.
func (p *Portal) SetAdmin(userID int, admin bool) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	if admin {
		delete(p.employees, userID)
	} else {
		p.employees[userID] = true
	}
}

// AuthorizeUser is [Portal.Authorize] for another user than the one in the options.
func (p *Portal) AuthorizeUser(userID int) Tokens {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	return *p.pair(userID)
}

// ApplicationToken returns the secret in the application's events. It stays the same until
// [Portal.UpdateApp] is asked to change it, or the application is installed anew.
func (p *Portal) ApplicationToken() string { return p.application().token }

// SetCallback sets the address where the application wants to hear of its own life: ONAPPINSTALL
// and, besides the handlers bound to them, ONAPPUPDATE, ONAPPUNINSTALL and ONAPPPAYMENT. None is "".
func (p *Portal) SetCallback(address string) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	p.app.callback = address
}

// Install installs the application anew, as one that uses only the API: handlers, offline queue
// and tokens are gone, and ONAPPINSTALL brings new ones to the callback at once. It returns tokens
// as well. Client id and secret stay; the application token is new if the application was removed
// before.
func (p *Portal) Install() Tokens {
	tokens := p.install(true)
	p.lifeEvent("ONAPPINSTALL", installForm, p.installData())
	return tokens
}

// BeginInstall installs the application as one with a page in the portal, which [Portal.FinishInstall]
// has to end: until then its tokens work, but no event is sent (F59). It returns the tokens that
// the page gets.
func (p *Portal) BeginInstall() Tokens { return p.install(false) }

// FinishInstall is the page's call of BX24.installFinish. ONAPPINSTALL goes to the callback and to
// the handlers bound to it.
func (p *Portal) FinishInstall() {
	p.tokens.mu.Lock()
	p.app.finished = true
	p.tokens.mu.Unlock()
	p.lifeEvent("ONAPPINSTALL", installForm, p.installData())
}

func (p *Portal) install(finished bool) Tokens {
	p.forgetSubscriptions()
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	for _, t := range p.tokens.known {
		t.dead = true
	}
	if !p.installed {
		p.app.token = randomHex(16)
	}
	p.installed, p.app.finished, p.app.version = true, finished, 1
	return *p.pair(p.userID)
}

func (p *Portal) installData() *node {
	return texts("VERSION", strconv.Itoa(p.application().version), "ACTIVE", "Y", "INSTALLED", "Y", "LANGUAGE_ID", "en")
}

// UpdateApp updates the application to the next version: ONAPPUPDATE is sent with new tokens, and
// all handlers are gone. With newToken the application token changes as well.
func (p *Portal) UpdateApp(newToken bool) {
	p.tokens.mu.Lock()
	before := p.app.version
	p.app.version++
	if newToken {
		p.app.token = randomHex(16)
	}
	p.tokens.mu.Unlock()
	p.lifeEvent("ONAPPUPDATE", installForm, texts("VERSION", strconv.Itoa(before+1), "PREVIOUS_VERSION", strconv.Itoa(before), "LANGUAGE_ID", "en"))
	p.forgetSubscriptions()
}

// Uninstall removes the application: ONAPPUNINSTALL is sent without tokens, handlers and offline
// queue are gone, and its tokens are refused. With clean its data is to be deleted too.
func (p *Portal) Uninstall(clean bool) {
	p.lifeEvent("ONAPPUNINSTALL", uninstallForm, texts("LANGUAGE_ID", "en", "CLEAN", strconv.FormatInt(truth(clean), 10)))
	p.forgetSubscriptions()
	p.SetInstalled(false)
}

// Pay changes the application's subscription. ONAPPPAYMENT tells of it, without any proof of who
// sent it.
func (p *Portal) Pay(payment Payment) {
	p.tokens.mu.Lock()
	p.app.payment = payment
	version := p.app.version
	p.tokens.mu.Unlock()
	p.lifeEvent("ONAPPPAYMENT", paymentForm, texts("CODE", p.clientID, "VERSION", strconv.Itoa(version), "STATUS", payment.Status,
		"PAYMENT_EXPIRED", yesNo(payment.Expired), "DAYS", strconv.Itoa(payment.Days), "LANGUAGE_ID", "en"))
}

// lifeEvent sends an event about the application itself to its callback and to the handlers bound
// to the event, to each address once.
func (p *Portal) lifeEvent(event string, form eventForm, data *node) {
	app := p.application()
	if !p.listening() {
		return
	}
	e := &p.events
	e.mu.Lock()
	defer e.mu.Unlock()
	sent := map[string]bool{"": true}
	send := func(address string) {
		if !sent[address] {
			sent[address] = true
			e.send(p, &delivery{event: event, address: address, data: data, form: form, userID: p.userID, token: app.token})
		}
	}
	send(app.callback)
	for _, h := range e.handlers {
		if h.event == event {
			send(h.address)
		}
	}
}

// forgetSubscriptions drops what the application bound and what waits for it offline.
func (p *Portal) forgetSubscriptions() {
	e := &p.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handlers = nil
	e.queue.remove(func(*offlineRecord) bool { return true })
}

// eventTokens issues tokens for an event. It reports false if the application is gone.
func (p *Portal) eventTokens(userID int, refresh bool) (Tokens, bool) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	if !p.installed {
		return Tokens{}, false
	}
	if refresh {
		return *p.pair(userID), true
	}
	text, issued := p.tokens.issueForEvent(p.accessTTL)
	issued.userID = userID
	return *p.describe(text, issued, ""), true
}

// OpenApp returns what a browser posts to the application's page when a user opens it in the
// portal (sheet 1.5): the query of the address and the form.
func (p *Portal) OpenApp(userID int) (query, form url.Values) {
	tokens, app := p.AuthorizeUser(userID), p.application()
	protocol := "0"
	if p.httpsOnly() {
		protocol = "1"
	}
	query = url.Values{"DOMAIN": {p.Host()}, "PROTOCOL": {protocol}, "LANG": {"en"}, "APP_SID": {randomHex(16)}}
	form = url.Values{
		"AUTH_ID": {tokens.AccessToken}, "AUTH_EXPIRES": {strconv.Itoa(int(p.accessTTL / time.Second))}, "REFRESH_ID": {tokens.RefreshToken},
		"SERVER_ENDPOINT": {tokens.ServerEndpoint}, "APPLICATION_TOKEN": {app.token}, "APPLICATION_SCOPE": {tokens.Scope},
		"member_id": {p.memberID}, "status": {tokens.Status}, "PLACEMENT": {"DEFAULT"},
	}
	return query, form
}
