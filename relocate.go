package enlace

import (
	"context"
	"errors"
	"maps"
	"net/url"
)

// Relocator knows how its provider renames accounts. Without it an answer that
// points to another host is ErrMoved, and a person connects the account again.
type Relocator interface {
	// Relocated says whether an account at the host from, which answers with a redirect
	// to the host to, is the same account under a new name, so that its credential may
	// be sent there. Hosts may carry ports. Say so only if the provider alone decides who
	// answers at either of them: the redirect itself proves nothing.
	Relocated(from, to string) bool
}

// MovedError is in the chain of an error that matches ErrMoved, where the answer named
// another host.
type MovedError struct {
	Scheme string // "https"
	Host   string // with its port, if it has one
}

// Error names the host.
func (e *MovedError) Error() string { return "moved to " + e.Host }

// movedTo reads where a redirect leads; nil if that is no other place.
func movedTo(location string) error {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return nil
	}
	return &MovedError{Scheme: u.Scheme, Host: u.Host}
}

// maxMoves bounds how often a connection follows its account, so that two hosts which
// point to each other end in an error.
const maxMoves = 3

// follow returns a connection to where the account has moved, or nil if err says
// nothing of the kind or if nobody may decide that it did.
func (c *Conn) follow(ctx context.Context, err error) *Conn {
	moved, ok := errors.AsType[*MovedError](err)
	relocator, able := As[Relocator](c.adapter)
	if !ok || !able || !errors.Is(err, ErrMoved) || !c.stored || c.moves() >= maxMoves ||
		moved.Scheme != c.base.Scheme || !relocator.Relocated(c.base.Host, moved.Host) {
		return nil
	}
	c.moving.Lock()
	defer c.moving.Unlock()
	if next := c.successor.Load(); next != nil {
		return next
	}
	next, err := c.service.relocate(ctx, c, moved.Host)
	if err != nil {
		c.Logger().WarnContext(ctx, "the account has moved and could not be followed", "host", moved.Host, "error", err)
		return nil
	}
	next.origin = c
	c.successor.Store(next)
	return next
}

// moves is how often the account was followed to get here.
func (c *Conn) moves() (n int) {
	for at := c.origin; at != nil; at = at.origin {
		n++
	}
	return n
}

// relocate stores the account's new host and opens the account there. The credential
// is sealed for the new host first; if the process dies before the integration says the
// same, the account does not open any more and must be connected again.
func (s *Service) relocate(ctx context.Context, c *Conn, host string) (*Conn, error) {
	in, err := s.Get(ctx, c.integration.Ref)
	if err != nil {
		return nil, err
	}
	if place(in).Host == host { // somebody else was faster
		return s.open(ctx, in)
	}
	if place(in).Host != c.base.Host {
		return nil, &Error{Provider: in.Provider, Op: "relocate", Kind: ErrConflict, Outcome: OutcomeNotRun}
	}
	next := in
	next.Settings = movedSettings(in.Settings, c.base.Host, host)
	err = s.safe.move(ctx, place(in), host, func(cred Credential) (Credential, error) {
		cred = movedCredential(cred, c.scheme, host)
		var err error
		if next.BaseURL, err = s.validate(c.descriptor, next, &cred); err == nil && place(next).Host != host {
			err = &Error{Provider: in.Provider, Op: "relocate", Kind: ErrInvalid, Outcome: OutcomeNotRun, Message: "the settings do not lead to the new host"}
		}
		return cred, err
	})
	if err != nil {
		return nil, err
	}
	s.observe(ctx, CredentialChanged{Ref: in.Ref, Provider: in.Provider, Action: "relocate"})
	if in, err = s.change(ctx, in.Ref, "relocate", func(cur *Integration) {
		cur.Settings, cur.BaseURL = next.Settings, next.BaseURL
	}); err != nil {
		return nil, err
	}
	return s.open(ctx, in)
}

// movedSettings are settings in which every host and URL of the account is the new one.
func movedSettings(settings map[string]string, from, to string) map[string]string {
	moved := maps.Clone(settings)
	for name, value := range moved {
		if value == from {
			moved[name] = to
		} else if u, err := url.Parse(value); err == nil && u.Host == from {
			u.Host = to
			moved[name] = u.String()
		}
	}
	return moved
}

// movedCredential is the credential for the new host: only a secret URL holds the old one.
func movedCredential(c Credential, scheme AuthScheme, host string) Credential {
	if _, secret := scheme.(SecretURL); !secret {
		return c
	}
	if u, err := url.Parse(c.Secrets["url"].Reveal()); err == nil {
		u.Host = host
		c.Secrets = maps.Clone(c.Secrets)
		c.Secrets["url"] = NewSecret(u.String())
	}
	return c
}

// move seals the credential at p for another host, as edit returns it. It waits for
// whoever is changing the credential.
func (s *Safe) move(ctx context.Context, p Place, host string, edit func(Credential) (Credential, error)) error {
	to := p
	to.Host = host
	var editErr error
	err := s.store.UpdateCredential(ctx, p.CredentialKey, func(ctx context.Context, sealed *Sealed, _ bool) (*Sealed, error) {
		if editErr = ErrNoCredential; sealed == nil {
			return nil, editErr
		}
		cred, err := s.open(ctx, p, sealed.Data)
		if err != nil {
			if cred, editErr = s.open(ctx, to, sealed.Data); editErr == nil { // somebody was faster
				_, editErr = edit(cred)
			}
			return nil, editErr
		}
		if spared, pending := s.unsavedAfter(p.CredentialKey, sealed.Version); pending {
			cred = spared
		}
		if cred, editErr = edit(cred); editErr != nil {
			return nil, editErr
		}
		return s.seal(ctx, to, cred)
	})
	if editErr != nil {
		return editErr
	}
	if err == nil {
		s.forget(p.CredentialKey)
	}
	return wrap("move credential", ErrStore, err)
}
