package admin

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// Paneler is implemented by adapters that have something of their own to show on an
// integration's page, such as a quota or the state of an offline queue. Without it
// the page has the common parts only. It is typed data for our templates: no markup
// and no script.
type Paneler interface {
	// Panels returns what to show. It may call the provider through c, within the
	// time that the page gives it; texts are shown as they are.
	Panels(ctx context.Context, c *enlace.Conn, language string) ([]Panel, error)
}

// Panel is one box on an integration's page.
type Panel struct {
	Title string
	Facts []Fact // at most 50
	Note  string
}

// Fact is one line of a panel.
type Fact struct {
	Label, Value string
	Tone         string    // "good", "warn", "bad" or empty
	At           time.Time // shown behind the value; zero is not
}

// panels asks the integration's adapter, if it has panels.
func (a *Admin) panels(ctx context.Context, c *call, in enlace.Integration) ([]Panel, error) {
	adapter, err := a.service.Registry().Lookup(in.Provider)
	if err != nil {
		return nil, nil // the page says so elsewhere
	}
	paneler, ok := enlace.As[Paneler](adapter)
	if !ok || !in.Enabled || in.Status != enlace.StatusConnected {
		return nil, nil
	}
	conn, err := a.service.Conn(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	panels, err := paneler.Panels(ctx, conn, c.Language)
	if len(panels) > 10 {
		panels = panels[:10]
	}
	for i := range panels {
		if len(panels[i].Facts) > 50 {
			panels[i].Facts = panels[i].Facts[:50]
		}
	}
	return panels, err
}
