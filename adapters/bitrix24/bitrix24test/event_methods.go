package bitrix24test

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// argumentError is how event methods complain about a parameter.
func argumentError(text string) *restError { return &restError{400, "ERROR_ARGUMENT", text} }

func missingArgument(name string) *restError {
	return argumentError("Argument '" + name + "' is null or empty")
}

// accessDenied is what event methods answer to users who are no administrators.
func accessDenied(text string) *restError {
	return &restError{403, "ACCESS_DENIED", strings.TrimSpace("Access denied! " + text)}
}

// isAdmin tells whether who calls is an administrator; see [Portal.SetAdmin].
func (c *call) isAdmin() bool { return c.portal.isAdmin(c.request.credential.userID) }

// eventNames is events: the names of a scope, of all scopes, or of those granted.
func eventNames(c *call, dst []byte) ([]byte, page, *restError) {
	names := []string{}
	wanted, full := c.params.fold("SCOPE").string(), c.params.fold("FULL").truthy()
	for _, scope := range eventScopes {
		if wanted == scope && wanted != "" || wanted == "" && (scope == "" || full || c.portal.granted(scope)) {
			names = append(names, c.portal.eventsOf(scope)...)
		}
	}
	return c.appendTexts(dst, names), page{}, nil
}

// eventKind reads what event.bind and event.unbind have in common.
func (c *call) eventKind(denied string) (event, address string, offline bool, err *restError) {
	event = strings.ToUpper(c.params.fold("event").string())
	address = c.params.fold("handler").string()
	typ := strings.ToLower(c.params.fold("event_type").string())
	offline = typ == "offline"
	switch {
	case event == "":
		err = missingArgument("EVENT")
	case typ != "" && typ != "online" && !offline:
		err = argumentError("Value must be one of {online|offline}")
	case offline && !c.isAdmin():
		err = accessDenied(denied)
	case !offline && address == "":
		err = missingArgument("HANDLER")
	case offline:
		address = ""
	}
	return event, address, offline, err
}

// eventBind is event.bind (sheet 6.1, F60).
func eventBind(c *call, dst []byte) ([]byte, page, *restError) {
	p, user := c.portal, int(c.params.fold("auth_type").number())
	event, address, offline, err := c.eventKind("Offline events binding requires administrator access rights")
	connector := c.connector()
	switch own := c.request.credential.userID; {
	case user > 0 && user != own && !c.isAdmin():
		return dst, page{}, accessDenied("Event binding with AUTH_TYPE requires administrator access rights")
	case err != nil:
		return dst, page{}, err
	case user <= 0 && !c.isAdmin():
		user = own
	}
	switch {
	case connector != "" && p.quirks.NoAuthConnector:
		return dst, page{}, &restError{403, "WRONG_LICENSE", "This feature is not enabled for the current license: auth_connector"}
	case !p.hasEvent(event):
		return dst, page{}, &restError{400, "ERROR_EVENT_NOT_FOUND", "Event not found"}
	case offline && slices.Contains(systemEvents, event):
		return dst, page{}, argumentError("Offline event cannot be registered for this event.")
	case !offline:
		if err := p.checkHandler(address); err != nil {
			return dst, page{}, err
		}
	}
	h := eventHandler{event: event, address: address, userID: max(user, 0), offline: offline, interval: time.Second}
	if offline {
		h.userID, h.connector = 0, connector
	}
	if wait := c.params.fold("options").fold("minTimeout"); wait != nil {
		h.interval = time.Duration(min(max(wait.number(), 0), 1<<30)) * time.Second
	}
	if !p.events.bind(h) {
		return dst, page{}, &restError{400, "ERROR_CORE", "Unable to set event handler: Handler already binded"}
	}
	return append(dst, "true"...), page{}, nil
}

// bind adds a handler unless it is there already.
func (e *events) bind(h eventHandler) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.handlers {
		if other.event == h.event && other.address == h.address && other.userID == h.userID && other.offline == h.offline && other.connector == h.connector {
			return false
		}
	}
	if len(e.handlers) >= maxHandlers {
		return false
	}
	e.lastID++
	h.id = e.lastID
	e.handlers = append(e.handlers, h)
	return true
}

// connector returns the request's auth_connector.
func (c *call) connector() string { return c.request.params.fold("auth_connector").string() }

// checkHandler refuses addresses that a portal cannot reach. Those of this machine pass unless
// PublicHandlersOnly is set, as tests have no others.
func (p *Portal) checkHandler(address string) *restError {
	u, err := url.Parse(address)
	if err == nil && u.Scheme != "http" && u.Scheme != "https" {
		return &restError{400, "ERROR_UNSUPPORTED_PROTOCOL", "Unsupported handler protocol"}
	}
	wrong := &restError{400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL"}
	if err != nil || u.Hostname() == "" {
		return wrong
	}
	if ip := net.ParseIP(u.Hostname()); p.quirks.PublicHandlersOnly && (!strings.Contains(u.Hostname(), ".") || ip != nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())) {
		return wrong
	}
	return nil
}

// eventUnbind is event.unbind.
func eventUnbind(c *call, dst []byte) ([]byte, page, *restError) {
	event, address, offline, err := c.eventKind("Offline events unbinding requires administrator access rights")
	if err != nil {
		return dst, page{}, err
	}
	given := c.params.fold("auth_type")
	user, own := int(given.number()), c.request.credential.userID
	if !offline && !c.isAdmin() {
		if given != nil && user != own {
			return dst, page{}, accessDenied("Event unbinding with AUTH_TYPE requires administrator access rights")
		}
		given, user = newText(""), own
	}
	e := &c.portal.events
	e.mu.Lock()
	defer e.mu.Unlock()
	before, connector := len(e.handlers), c.connector()
	e.handlers = slices.DeleteFunc(e.handlers, func(h eventHandler) bool {
		if h.event != event || h.address != address || h.offline != offline {
			return false
		}
		return offline && h.connector == connector || !offline && (given == nil || h.userID == user)
	})
	return append(strconv.AppendInt(append(dst, `{"count":`...), int64(before-len(e.handlers)), 10), '}'), page{}, nil
}

// eventGet is event.get. Users who are no administrators see their own handlers only.
func eventGet(c *call, dst []byte) ([]byte, page, *restError) {
	admin, own := c.isAdmin(), c.request.credential.userID
	e := &c.portal.events
	e.mu.Lock()
	defer e.mu.Unlock()
	dst = append(dst, '[')
	for _, h := range e.handlers {
		if !admin && h.userID != own {
			continue
		}
		if dst[len(dst)-1] == '}' {
			dst = append(dst, ',')
		}
		dst = c.appendText(dst, `{"event"`, h.event)
		if h.offline {
			dst = append(c.appendText(dst, `,"connector_id"`, h.connector), `,"offline":1}`...)
			continue
		}
		dst = c.appendText(dst, `,"handler"`, h.address)
		dst = append(c.appendText(dst, `,"auth_type"`, strconv.Itoa(h.userID)), `,"offline":0}`...)
	}
	return append(dst, ']'), page{}, nil
}

// eventTest is event.test, which fires ONAPPTEST with what it was given.
func eventTest(c *call, dst []byte) ([]byte, page, *restError) {
	query := newArray()
	for i, key := range c.params.keys {
		if !strings.EqualFold(key, "auth") {
			query.push(key, c.params.items[i])
		}
	}
	data := newArray()
	data.push("QUERY", query)
	c.portal.emit("ONAPPTEST", "", data, c.actor())
	return append(dst, '1'), page{}, nil
}
