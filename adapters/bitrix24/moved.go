package bitrix24

import (
	"errors"
	"net/http"
	"net/url"
)

// MovedError is in the chain of an error that matches enlace.ErrMoved: the portal has
// been renamed and sends its callers to another host (sheet 2.8).
type MovedError struct {
	Host string // where the portal says that it is now, with its port if it has one
}

// Error names the host.
func (e *MovedError) Error() string { return "the portal is now at " + e.Host }

// MovedTo returns the host that a renamed portal says it has now.
//
// Nothing follows it by itself: the webhook's URL and the tokens are secrets, bound to
// the host that a person entered, and whoever answers for an old host could send them
// anywhere. The host of this library shows the new one to a person and connects again:
// a webhook with the same URL on the new host, an application by the setting "portal"
// and a new authorization, which ends with the authorization server's own word for
// where the portal is (the attribute client_endpoint). The member_id stays the same.
func MovedTo(err error) (host string, ok bool) {
	if moved, found := errors.AsType[*MovedError](err); found {
		return moved.Host, true
	}
	return "", false
}

// movedTo reads where a redirect leads; nil if that is no other place.
func movedTo(status int, h http.Header) error {
	if status < 300 || status > 399 {
		return nil
	}
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return nil
	}
	return &MovedError{Host: u.Host}
}
