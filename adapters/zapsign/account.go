package zapsign

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// Plan is the account's API plan.
type Plan struct {
	Name    string `json:"name"`
	Credits string `json:"number_of_credits"`  // a number, as text
	Status  string `json:"status"`             // paid, pending_payment, unpaid, canceled
	Period  string `json:"period"`             // monthly, annual
	Ends    string `json:"current_period_end"` // dd-mm-yyyy
}

// PlanInfo reads the account's plan: GET /info-plan/ (sheet 2.7). Errors:
// ErrNotFound for an account without one, which may be healthy all the same.
func PlanInfo(ctx context.Context, c *enlace.Conn) (Plan, error) {
	return get[Plan](ctx, c, "read plan", "info-plan/", nil)
}

// User is a user of the account.
type User struct {
	FirstName     string `json:"first_name"`
	LastName      string `json:"last_name"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Group         struct {
		Name string `json:"name"` // owner, admin, member, self_docs_limited
	} `json:"user_group"`
}

// ListUsers yields the account's users, 25 by request: GET /users/ (sheet 2.7).
// It ends after the first error: ErrAuth.
func ListUsers(ctx context.Context, c *enlace.Conn) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		const op = "list users"
		for page := 1; page <= maxPages; page++ {
			answer, err := get[struct {
				Next    *string
				Results []User
			}](ctx, c, op, "users/", url.Values{"page": {strconv.Itoa(page)}})
			if err != nil {
				yield(User{}, refusedToken(err))
				return
			}
			for _, u := range answer.Results {
				if !yield(u, nil) {
					return
				}
			}
			if answer.Next == nil || len(answer.Results) == 0 {
				return
			}
		}
	}
}

// UserInput is a user to be added.
type UserInput struct {
	Email        string `json:"email"`
	Role         string `json:"role,omitempty"` // member, admin, self_docs_limited (default)
	FirstName    string `json:"first_name,omitempty"`
	LastName     string `json:"last_name,omitempty"`
	PhoneCountry string `json:"phone_country,omitempty"`
	PhoneNumber  string `json:"phone_number,omitempty"`
}

// CreateUser adds a user to the account: POST /users/create-user (sheet 2.7). It
// is sent once. Errors: ErrInvalid, ErrForbidden.
func CreateUser(ctx context.Context, c *enlace.Conn, in UserInput) error {
	if in.Email == "" {
		return invalid("create user", "Email", "missing", "an e-mail")
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: "users/create-user", Body: in, Op: "create user"})
}

// DeleteUser takes a user off the account: DELETE /users/{email}/ (sheet 2.7).
// The owner cannot be. It may be repeated, and enlace does. Errors: ErrInvalid,
// ErrNotFound, ErrForbidden.
func DeleteUser(ctx context.Context, c *enlace.Conn, email string) error {
	at, err := path("users", email)
	if err != nil {
		return err
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodDelete, Path: at, Idempotent: true, Op: "delete user"})
}

// CompanyInput is a partner's client to be made an account for.
type CompanyInput struct {
	Country      string `json:"country"` // br, mx, co, pe, cl
	Lang         string `json:"lang"`
	Name         string `json:"company_name"`
	Email        string `json:"email,omitempty"`
	PhoneCountry string `json:"phone_country,omitempty"`
	PhoneNumber  string `json:"phone_number,omitempty"`
	PrimaryColor string `json:"primary_color,omitempty"`
	LogoURL      string `json:"logo_url,omitempty"`
}

// Company is a partner's client. Its token is shown this once.
type Company struct {
	ID       int64         `json:"id"`
	Name     string        `json:"name"`
	APIToken enlace.Secret `json:"api_token"`
	Created  Time          `json:"created_at"`
	Credits  int64         `json:"credits_balance"`
	Lang     string        `json:"lang"`
	Timezone string        `json:"timezone"`
}

// CreateCompany makes an account for a partner's client: POST /partner/company/
// (sheet 2.7). It is sent once. Errors: ErrInvalid with the field in its message;
// ErrForbidden for an account that is no partner, and for a wrong token.
func CreateCompany(ctx context.Context, c *enlace.Conn, in CompanyInput) (Company, error) {
	return do[Company](ctx, c, enlace.Call{Method: http.MethodPost, Path: "partner/company/", Body: in, Op: "create company"})
}

// SetPaymentStatus tells whether a partner's client has paid: POST
// /partner/update-payment-status/ (sheet 2.7). It may be repeated, and enlace
// does. Errors: ErrInvalid, ErrForbidden if the client is another partner's,
// ErrNotFound.
func SetPaymentStatus(ctx context.Context, c *enlace.Conn, client enlace.Secret, paid bool) error {
	status := "inadimplente"
	if paid {
		status = "adimplente"
	}
	body := map[string]string{"client_api_token": client.Reveal(), "payment_status": status}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: "partner/update-payment-status/", Body: body, Idempotent: true, Op: "set payment status"})
}

// PartnerPlansCSV reads the plans of a partner's clients as CSV: GET
// /info-plan/partners-csv/ (sheet 2.7). From the day of from to that of to are at
// most 30 days. Errors: ErrInvalid, ErrAuth.
func PartnerPlansCSV(ctx context.Context, c *enlace.Conn, from, to time.Time) ([]byte, error) {
	const op = "read partner plans"
	if to.Before(from) || to.Sub(from) > 30*24*time.Hour {
		return nil, invalid(op, "to", "before from, or more than 30 days after it", "at most 30 days")
	}
	query := url.Values{"start_date": {from.Format(time.DateOnly)}, "end_date": {to.Format(time.DateOnly)}}
	return do[[]byte](ctx, c, enlace.Call{Path: "info-plan/partners-csv/", Query: query, Header: http.Header{"Accept": {"text/csv"}}, Op: op})
}

// CheckInput asks for a background check (sheet 2.8). Which fields are required
// depends on country and type.
type CheckInput struct {
	Country          string   `json:"country"` // BR, CO, CL, MX, PE
	Type             string   `json:"type"`    // person, company, credit_person_co, credit_person_br, credit_company_co, credit_company_br
	UserAuthorized   bool     `json:"user_authorized"`
	ForceCreation    bool     `json:"force_creation,omitempty"` // false returns the result of an earlier check
	NationalID       string   `json:"national_id,omitempty"`
	ForeignID        string   `json:"foreign_id,omitempty"`
	PTP              string   `json:"ptp,omitempty"`
	PPT              string   `json:"ppt,omitempty"`
	Region           string   `json:"region,omitempty"`
	DateOfBirth      string   `json:"date_of_birth,omitempty"`
	FirstName        string   `json:"first_name,omitempty"`
	LastName         string   `json:"last_name,omitempty"`
	StateID          string   `json:"state_id,omitempty"`
	IssueNumber      string   `json:"issue_number,omitempty"`
	IssueDate        string   `json:"issue_date,omitempty"`
	VerificationCode string   `json:"verification_code,omitempty"`
	CustomInput      string   `json:"custom_input,omitempty"` // at most 128
	TaxID            string   `json:"tax_id,omitempty"`
	CompanyName      string   `json:"company_name,omitempty"`
	Observers        []string `json:"observers,omitempty"` // at most 20
}

// BackgroundCheck is a check of a person or a company.
type BackgroundCheck struct {
	ID           string   `json:"check_id"`
	Status       string   `json:"status"` // not_started, in_progress, delayed, error, completed
	Type         string   `json:"check_type"`
	Score        *float64 `json:"score"` // 0 to 1; nil until it is known
	Country      string   `json:"country"`
	CompanyName  string   `json:"company_name"`
	FullName     string   `json:"full_name"`
	FirstName    string   `json:"first_name"`
	LastName     string   `json:"last_name"`
	NationalID   string   `json:"national_id"`
	ForeignID    string   `json:"foreign_id"`
	TaxID        string   `json:"tax_id"`
	DateOfBirth  string   `json:"date_of_birth"`
	Region       string   `json:"region"`
	Lang         string   `json:"lang"`
	CreatedAt    Time     `json:"created_at"`
	LastUpdateAt Time     `json:"last_update_at"`
	Report       struct {
		Status string `json:"status"`
		URL    string `json:"url"`
	} `json:"pdf_report"`
}

// CreateCheck starts a background check, which is charged: POST /checks/ (sheet
// 2.8). It is sent once. Errors: ErrInvalid, ErrForbidden.
func CreateCheck(ctx context.Context, c *enlace.Conn, in CheckInput) (BackgroundCheck, error) {
	if !in.UserAuthorized {
		return BackgroundCheck{}, invalid("create check", "UserAuthorized", "not true", "true: whoever is checked has agreed")
	}
	return do[BackgroundCheck](ctx, c, enlace.Call{Method: http.MethodPost, Path: "checks/", Body: in, Op: "create check"})
}

// GetCheck reads a background check: GET /checks/{check_id}/ (sheet 2.8). Errors:
// ErrNotFound.
func GetCheck(ctx context.Context, c *enlace.Conn, id string) (BackgroundCheck, error) {
	at, err := path("checks", id)
	if err != nil {
		return BackgroundCheck{}, err
	}
	return get[BackgroundCheck](ctx, c, "read check", at, nil)
}

// CheckDetails reads a page of what a background check found, as ZapSign's own
// JSON {"details": […], "next": …}: GET /checks/{check_id}/details/ (sheet 2.8).
// start is the "next" of the page before, empty for the first. Errors:
// ErrNotFound.
func CheckDetails(ctx context.Context, c *enlace.Conn, id, lang, start string) ([]byte, error) {
	at, err := path("checks", id, "details")
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, value := range map[string]string{"lang": lang, "start_key": start} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return get[[]byte](ctx, c, "read check details", at, query)
}

// Timestamp puts a timestamp on a PDF or DOCX, at most 10 MB, and returns the link
// to the result: POST /timestamp/, or /timestamp/no-signature (sheet 2.9). file
// is a public address, or the file as base64. It is paid, and sent once. Errors:
// ErrForbidden with Status 402 without the add-on, ErrInvalid.
func Timestamp(ctx context.Context, c *enlace.Conn, file string, withSignature bool) (link string, err error) {
	at := "timestamp/no-signature"
	if withSignature {
		at = "timestamp/"
	}
	answer, err := do[struct{ URL string }](ctx, c, enlace.Call{Method: http.MethodPost, Path: at, Body: map[string]string{"url": file}, Op: "timestamp"})
	return answer.URL, err
}

// Validation is what ZapSign finds about the signature in a PDF. Of one without a
// valid signature the texts are "N/A".
type Validation struct {
	Valid       bool   `json:"isValid"`
	Message     string `json:"message"`
	Authority   string `json:"authority"`
	SigningDate string `json:"signingDate"` // MM/DD/YYYY HH:mm:ss
	CommonName  string `json:"commonName"`
}

// ValidateSignature checks the signature in a PDF: POST /validate-pdf-signature
// (sheet 2.9). It may be repeated, and enlace does. Errors: ErrInvalid.
func ValidateSignature(ctx context.Context, c *enlace.Conn, pdf []byte) (Validation, error) {
	const boundary = "enlace-8f14e45fceea167a5a36dedd4bea2543"
	if strings.Contains(string(pdf), boundary) {
		return Validation{}, invalid("validate signature", "pdf", "not a PDF", "a PDF")
	}
	body := append([]byte("--"+boundary+"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.pdf\"\r\n"+
		"Content-Type: application/pdf\r\n\r\n"), pdf...)
	body = append(body, "\r\n--"+boundary+"--\r\n"...)
	return do[Validation](ctx, c, enlace.Call{Method: http.MethodPost, Path: "validate-pdf-signature", Body: body, Idempotent: true,
		Header: http.Header{"Content-Type": {"multipart/form-data; boundary=" + boundary}}, Op: "validate signature"})
}
