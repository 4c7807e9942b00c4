package zapsigntest

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"time"
)

// check is a background check (sheet 2.8).
type check struct{ out checkJSON }

type checkJSON struct {
	CheckID       string  `json:"check_id"`
	Status        string  `json:"status"`
	CompanyName   string  `json:"company_name"`
	FullName      string  `json:"full_name"`
	FirstName     string  `json:"first_name"`
	LastName      string  `json:"last_name"`
	DateOfBirth   *string `json:"date_of_birth"`
	IssueDate     *string `json:"issue_date"`
	NationalID    string  `json:"national_id"`
	ForeignID     string  `json:"foreign_id"`
	TaxID         string  `json:"tax_id"`
	Country       string  `json:"country"`
	NativeCountry string  `json:"native_country"`
	CheckType     string  `json:"check_type"`
	Lang          string  `json:"lang"`
	Region        string  `json:"region"`
	CreatedAt     stamp   `json:"created_at"`
	LastUpdateAt  stamp   `json:"last_update_at"`
}

var (
	checkTypes     = []string{"person", "credit_person_co", "credit_person_br", "company", "credit_company_co", "credit_company_br"}
	checkCountries = []string{"BR", "CO", "CL", "MX", "PE"}
)

// createCheck is POST /checks/.
func (c *call) createCheck() answer {
	in := c.in
	out := checkJSON{
		Status: "not_started", CompanyName: in.text("company_name"), FirstName: in.text("first_name"), LastName: in.text("last_name"),
		DateOfBirth: orNull(in.text("date_of_birth")), IssueDate: orNull(in.text("issue_date")), NationalID: in.text("national_id"),
		ForeignID: in.text("foreign_id"), TaxID: in.text("tax_id"), Country: in.text("country"), CheckType: in.text("type"), Lang: "pt-br", Region: in.text("region"),
	}
	authorized, force, other := in.flag("user_authorized"), in.flag("force_creation"), in.text("ptp")+in.text("ppt")
	if wrong := in.typeError(); wrong != nil {
		return *wrong
	}
	isPerson := strings.Contains(out.CheckType, "person")
	switch {
	case !slices.Contains(checkCountries, out.Country) || !slices.Contains(checkTypes, out.CheckType) || !authorized:
		return *refused("country, type e user_authorized são obrigatórios.")
	case isPerson && out.NationalID+out.ForeignID+other == "":
		return *refused("Envie um documento da pessoa.")
	case !isPerson && out.TaxID == "":
		return *refused("tax_id é obrigatório.")
	case isPerson && out.Country == "BR" && (out.Region == "" || out.NationalID != "" && out.DateOfBirth == nil):
		return *refused("region e date_of_birth são obrigatórios no Brasil.")
	}
	if !force {
		for _, earlier := range c.account.checks {
			e := earlier.out
			if e.CheckType == out.CheckType && e.Country == out.Country && e.NationalID == out.NationalID && e.ForeignID == out.ForeignID && e.TaxID == out.TaxID {
				return ok(e)
			}
		}
	}
	out.CheckID, out.CreatedAt = "CHK"+randomHex(16), stamp(c.tick())
	out.LastUpdateAt = out.CreatedAt
	c.account.checks[out.CheckID] = &check{out}
	return ok(out)
}

// getCheck is GET /checks/{check_id}/.
func (c *call) getCheck() answer {
	found := c.account.checks[c.params[0]]
	if found == nil {
		return text(404, "Background check not found.")
	}
	type report struct {
		Status string  `json:"status"`
		URL    *string `json:"url"`
	}
	r := report{Status: "not_started"}
	if found.out.Status == "completed" {
		file := c.newFile("checks", "pdf", typePDF, makePDF([]string{found.out.CheckID}), "")
		r = report{"completed", orNull(c.link(file).String())}
	}
	return ok(struct {
		checkJSON
		PDFReport report `json:"pdf_report"`
	}{found.out, r})
}

// getCheckDetails is GET /checks/{check_id}/details/.
func (c *call) getCheckDetails() answer {
	if c.account.checks[c.params[0]] == nil {
		return text(404, "Background check not found.")
	}
	return ok(struct {
		Details []string `json:"details"`
		Next    *string  `json:"next"`
	}{[]string{}, nil})
}

// CompleteCheck completes a background check with a score from 0 to 1 (event
// background_check_completed). It returns [ErrUnknownToken] if there is none with this id.
func (a *API) CompleteCheck(checkID string, score float64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, acc := range a.accounts {
		found := acc.checks[checkID]
		if found == nil {
			continue
		}
		found.out.Status, found.out.LastUpdateAt = "completed", stamp(a.tick())
		a.emit(acc, nil, "background_check_completed", struct {
			checkJSON
			Score            float64 `json:"score"`
			Passport         string  `json:"passport"`
			NativeNationalID string  `json:"native_national_id"`
			PEP              string  `json:"pep"`
			PTP              string  `json:"ptp"`
			EventType        string  `json:"event_type"`
		}{checkJSON: found.out, Score: score, EventType: "background_check_completed"})
		return nil
	}
	return ErrUnknownToken
}

// timestamp is POST /timestamp/ and POST /timestamp/no-signature.
func (c *call) timestamp() answer {
	if c.account.NoTimestamp {
		return errorBody(402, "Payment Required")
	}
	value := c.in.text("url")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	content := c.fetched["url"].content
	if _, fetched := c.fetched["url"]; !fetched {
		content, _ = base64.StdEncoding.DecodeString(value)
	}
	if no := c.checkSize("url", content); no != nil {
		return *no
	}
	stamped := c.newFile("timestamp", "pdf", typePDF, content, sealMark+"timestamp "+c.now().Format(time.RFC3339)+"\n")
	return ok(map[string]string{"url": c.link(stamped).String()})
}

// validateSignature is POST /validate-pdf-signature. Files are valid that the server signed.
func (c *call) validateSignature() answer {
	_, params, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	content, found := part(c.body, params["boundary"], "file")
	if !found {
		return errorBody(400, "Nenhum arquivo foi enviado.")
	}
	type verdict struct {
		IsValid     bool   `json:"isValid"`
		Message     string `json:"message"`
		Authority   string `json:"authority"`
		SigningDate string `json:"signingDate"`
		CommonName  string `json:"commonName"`
	}
	if !bytes.Contains(content, []byte(sealMark)) {
		return ok(verdict{false, "N/A", "N/A", "N/A", "N/A"})
	}
	return ok(verdict{true, "Assinatura válida", "ZapSign", c.now().Format("01/02/2006 15:04:05"), "zapsigntest"})
}

// part returns a part of a multipart body.
func part(body []byte, boundary, name string) ([]byte, bool) {
	if boundary == "" {
		return nil, false
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := parts.NextPart()
		if err != nil {
			return nil, false
		}
		if p.FormName() != name {
			continue
		}
		content, err := io.ReadAll(p)
		return content, err == nil
	}
}
