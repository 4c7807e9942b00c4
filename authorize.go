package enlace

import (
	"context"
	"net/http"
)

// authorize adds the account's proof to one attempt of a request.
func (c *Conn) authorize(ctx context.Context, r *http.Request) error {
	cred := c.credential.Load()
	switch scheme := c.scheme.(type) {
	case APIKey:
		return scheme.Place.put(r, cred.Secrets["api_key"])
	case Basic:
		r.SetBasicAuth(cred.Secrets["username"].Reveal(), cred.Secrets["password"].Reveal())
	case OAuth2:
		return c.putToken(ctx, r, scheme.Place, cred)
	case ClientCredentials:
		return c.putToken(ctx, r, scheme.Place, cred)
	case CustomAuth:
		if a, ok := As[Authenticator](c.adapter); ok {
			noteSent(ctx, cred)
			return a.Authorize(r, *cred)
		}
		return &Error{Op: "authorize", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Message: "the adapter has no Authenticator"}
	}
	return nil
}

// sentToken remembers which token the last attempt of a Send carried, so that a
// refusal is held against that token and not against a newer one.
type sentToken struct{ access Secret }

type sentTokenKey struct{}

func noteSent(ctx context.Context, cred *Credential) {
	if sent, ok := ctx.Value(sentTokenKey{}).(*sentToken); ok && cred.Token != nil {
		sent.access = cred.Token.Access
	}
}

func (c *Conn) putToken(ctx context.Context, r *http.Request, p Placement, cred *Credential) error {
	if cred.Token == nil {
		return &Error{Op: "authorize", Kind: ErrNoCredential, Outcome: OutcomeNotRun}
	}
	noteSent(ctx, cred)
	if p == (Placement{}) {
		p = BearerHeader()
	}
	return p.put(r, cred.Token.Access)
}
