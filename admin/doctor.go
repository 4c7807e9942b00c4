package admin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
)

// doctorTimeout bounds one look at everything.
const doctorTimeout = 30 * time.Second

// diagnoses remembers the last one, so that its page can be read again and passed on.
type diagnoses struct {
	mu   sync.Mutex
	last *diagnosis
}

type diagnosis struct {
	At   time.Time
	User string
	enlace.Diagnosis
}

// diagnose looks at everything and remembers what was found.
func (a *Admin) diagnose(ctx context.Context, c *call) (diagnosis, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	found, err := a.service.Doctor(ctx)
	if err != nil {
		return diagnosis{}, err
	}
	d := diagnosis{time.Now(), c.access.Name, found}
	a.diagnoses.mu.Lock()
	defer a.diagnoses.mu.Unlock()
	a.diagnoses.last = &d
	return d, nil
}

func (a *Admin) doctorPage(w http.ResponseWriter, r *http.Request, c *call) error {
	a.diagnoses.mu.Lock()
	last := a.diagnoses.last
	a.diagnoses.mu.Unlock()
	return a.show(w, r, c, page{name: "doctor", title: translator(c.Language).text("nav.doctor"), section: "doctor", data: last})
}

func (a *Admin) runDoctor(w http.ResponseWriter, r *http.Request, c *call) error {
	if _, err := a.diagnose(r.Context(), c); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"doctor")
	return nil
}

type findingBody struct {
	Check  string `json:"check"`
	Status string `json:"status" enum:"healthy,warning,error"`
	Detail string `json:"detail" doc:"What was found, in words"`
	Fix    string `json:"fix,omitempty" doc:"What to do about it"`
}

type diagnosisBody struct {
	Status   string        `json:"status" enum:"healthy,warning,error" doc:"The worst of all findings"`
	At       time.Time     `json:"at"`
	Findings []findingBody `json:"findings"`
}

func (api *api) doctorOperations() {
	operation(api, GrantDiagnose, huma.Operation{Method: "POST", Path: "/doctor", OperationID: "runDoctor", Summary: "Look at configuration, store, clocks, keys and background work",
		Tags: []string{"doctor"}, Description: "Calls no provider and changes nothing but a lease of its own. It concerns the whole installation and not one tenant."},
		func(ctx context.Context, c *call, _ *struct{}) (*struct{ Body diagnosisBody }, error) {
			d, err := api.diagnose(ctx, c)
			if err != nil {
				return nil, err
			}
			t := translator(c.Language)
			body := diagnosisBody{Status: string(d.Status), At: d.At.UTC(), Findings: []findingBody{}}
			for _, f := range d.Findings {
				body.Findings = append(body.Findings, findingBody{f.Check, string(f.Status), t.phrase(f.Detail), t.phrase(f.Fix)})
			}
			return &struct{ Body diagnosisBody }{body}, nil
		})
}
