package adaptertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// journal is everything that the host got to see.
type journal struct {
	mu     sync.Mutex
	seen   bytes.Buffer
	waited time.Duration // by the library, before requests
}

// Write implements io.Writer, for log handlers.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seen.Write(p)
}

func (j *journal) handler() slog.Handler {
	return slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func (j *journal) observe(_ context.Context, o enlace.Observation) {
	text, _ := json.Marshal(o)
	j.mu.Lock()
	defer j.mu.Unlock()
	if done, ok := o.(enlace.RequestDone); ok {
		j.waited += done.Waited
	}
	fmt.Fprintf(&j.seen, "observation %#v %s\n", o, text)
}

func (j *journal) note(err error) {
	if err == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(&j.seen, "error %v %#v\n", err, err)
}

func (j *journal) cursor(c enlace.Cursor) { fmt.Fprintf(j, "cursor %s\n", c) }

// minSecret is the length from which on a secret can be looked for.
const minSecret = 8

// hunt looks for the account's secrets in all that the host got to see.
func (w *world) hunt() error {
	seen := w.journal.seen.String()
	for name, secret := range w.secrets() {
		for form, text := range forms(secret) {
			if at := strings.Index(seen, text); at >= 0 {
				line := seen[strings.LastIndex(seen[:at], "\n")+1:]
				line, _, _ = strings.Cut(line, "\n")
				line = strings.ReplaceAll(line, text, "<<"+name+">>")
				return broken(ruleSecret, "%s stands in it, %s: %.600s", name, form, line)
			}
		}
	}
	return nil
}

// secrets are what must not be seen, by name.
func (w *world) secrets() map[string]string {
	secrets := map[string]string{}
	add := func(name string, s enlace.Secret) {
		text := s.Reveal()
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			for _, part := range strings.Split(u.Path, "/") {
				if len(part) >= minSecret {
					secrets["part of "+name] = part
				}
			}
		}
		if len(text) >= minSecret {
			secrets[name] = text
		}
	}
	c := w.provider.Credential
	for name, s := range c.Secrets {
		add("secret "+name, s)
	}
	if c.Token != nil {
		add("access token", c.Token.Access)
		add("refresh token", c.Token.Refresh)
	}
	for _, s := range c.WebhookSecrets {
		add("webhook secret", s)
	}
	for _, webhook := range w.provider.Webhooks {
		add("secret of a delivery", webhook.Secret)
	}
	add("client secret", w.provider.OAuth.ClientSecret)
	return secrets
}

// forms are ways to write a secret down.
func forms(secret string) map[string]string {
	return map[string]string{
		"as it is": secret, "escaped for a query": url.QueryEscape(secret), "escaped for a path": url.PathEscape(secret),
		"in base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "in hexadecimal": hex.EncodeToString([]byte(secret)),
	}
}

// pauses is how long enlace has waited before requests in all.
func (j *journal) pauses() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.waited
}
