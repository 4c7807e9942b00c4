package admin

import (
	"encoding/json"
	"net/http"
)

// problemBody is a failure by RFC 9457.
type problemBody struct {
	Type      string         `json:"type" doc:"Address of the description of this kind of failure"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty"`
	Code      string         `json:"code" doc:"Stable name of the failure; test for this one"`
	RequestID string         `json:"requestId"`
	Errors    []problemFault `json:"errors,omitempty"`
}

type problemFault struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the request's body, or the name of a field"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

func (p *problem) body(c *call) problemBody {
	b := problemBody{Type: c.mount.root + "api#" + p.code, Title: p.title, Status: p.status, Detail: p.detail, Code: p.code, RequestID: c.id}
	for _, f := range p.faults {
		b.Errors = append(b.Errors, problemFault{Pointer: f.field, Code: f.code, Detail: f.detail})
	}
	return b
}

// writeProblem answers a program.
func writeProblem(w http.ResponseWriter, _ *http.Request, c *call, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", c.Language)
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(p.body(c))
}
