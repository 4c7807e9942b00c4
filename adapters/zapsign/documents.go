package zapsign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace"
)

// Common are the fields that all creates of documents have (sheet 2.1.1). All may
// be left out.
type Common struct {
	Lang                string `json:"lang,omitempty"`                  // pt-br (default), es, en
	DisableSignerEmails bool   `json:"disable_signer_emails,omitempty"` // send no e-mail to any signer
	BrandLogo           string `json:"brand_logo,omitempty"`            // public address of an image
	BrandPrimaryColor   string `json:"brand_primary_color,omitempty"`
	BrandName           string `json:"brand_name,omitempty"`  // at most 100 characters
	ExternalID          string `json:"external_id,omitempty"` // yours: comes back, is not unique, cannot be searched for
	// FolderPath is where the document goes: at most 255 bytes, 50 for each folder,
	// 5 levels. Folders are made as needed. FolderToken, from the web address
	// (?pasta=), wins over it.
	FolderPath  string `json:"folder_path,omitempty"`
	FolderToken string `json:"folder_token,omitempty"`
	CreatedBy   string `json:"created_by,omitempty"` // e-mail of a user of the account; another one is ignored
	// DateLimitToSign is the deadline, as 2006-01-02 (to the end of that day, UTC)
	// or RFC 3339. It cannot be read back: keep your own copy.
	DateLimitToSign      string     `json:"date_limit_to_sign,omitempty"`
	SignatureOrderActive bool       `json:"signature_order_active,omitempty"` // see SignerInput.OrderGroup
	Observers            []string   `json:"observers,omitempty"`              // e-mails told of the completion; at most 20
	ReminderEveryDays    int        `json:"reminder_every_n_days,omitempty"`  // cannot be changed later
	AllowRefuse          bool       `json:"allow_refuse_signature,omitempty"`
	HideOriginal         bool       `json:"disable_signers_get_original_file,omitempty"`
	Metadata             []Metadata `json:"metadata,omitempty"`            // comes back with webhooks
	SignatureAnchor      string     `json:"signature_placement,omitempty"` // text at which signatures are placed
	InitialsAnchor       string     `json:"rubrica_placement,omitempty"`

	// Key makes the create one that can be repeated safely; see [CreateDocument].
	Key string `json:"-"`
}

// DocumentInput is what a document is made from: a name, the signers, and exactly
// one of PDF, PDFURL, DOCX, DOCXURL and Markdown (sheet 2.1.1).
type DocumentInput struct {
	Name     string        `json:"name"` // at most 255 characters
	PDF      []byte        `json:"base64_pdf,omitempty"`
	PDFURL   string        `json:"url_pdf,omitempty"` // public
	DOCX     []byte        `json:"base64_docx,omitempty"`
	DOCXURL  string        `json:"url_docx,omitempty"` // public
	Markdown string        `json:"markdown_text,omitempty"`
	Signers  []SignerInput `json:"signers"` // at least one
	Common
	SignedFileOnlyFinished bool   `json:"signed_file_only_finished,omitempty"`
	SimplifiedSignature    bool   `json:"has_simplified_signature,omitempty"`
	SimplifiedPosition     string `json:"simplified_signature_position,omitempty"` // left, bottom, right
	// OneClick asks for a click instead of a signature; each signer needs a name and
	// an e-mail or a phone. RequireSignature adds a drawn one.
	OneClick         bool `json:"one_click_active,omitempty"`
	RequireSignature bool `json:"require_signature,omitempty"`
}

// TemplateDocumentInput is what a document is made from by a DOCX template, with
// one signer; add others with [AddSigner] (sheet 2.1.2).
type TemplateDocumentInput struct {
	TemplateID         string         `json:"template_id"`
	Name               string         `json:"name,omitempty"` // the template's if empty
	SignerName         string         `json:"signer_name"`
	SignerEmail        string         `json:"signer_email,omitempty"`
	SignerPhoneCountry string         `json:"signer_phone_country,omitempty"`
	SignerPhoneNumber  string         `json:"signer_phone_number,omitempty"`
	Data               []Substitution `json:"data"`
	// SignerFillsTheRest asks the signer for the variables that Data leaves open.
	// It makes the signature order active.
	SignerFillsTheRest bool   `json:"signer_has_incomplete_fields,omitempty"`
	SendEmail          bool   `json:"send_automatic_email,omitempty"`
	SendWhatsApp       bool   `json:"send_automatic_whatsapp,omitempty"`             // paid
	WhatsAppSignedFile bool   `json:"send_automatic_whatsapp_signed_file,omitempty"` // paid
	CustomMessage      string `json:"custom_message,omitempty"`
	Common
}

// Substitution puts a value in the place of a template's variable.
type Substitution struct {
	Variable string `json:"de"` // with its braces: "{{NAME}}"
	Value    string `json:"para"`
}

// CreateDocument creates a document: POST /docs/ (sheet 2.1.1).
//
// The document is billed at once. It is sent once: if the answer is lost, the
// error has OutcomeUnknown, and the document may exist. With in.Key it is found
// out: the key becomes the external id (unless there is one) and a folder of the
// document's own, below FolderPath or the setting "folder". Then CreateDocument
// first looks into that folder and returns the document if it is there, and after
// a lost answer looks again for as long as the setting "settle" says, or until
// ctx ends. Errors that still have OutcomeUnknown may be answered by calling
// again with the same key, not before the settle time is over. With a
// FolderToken, which leaves the key no folder, the document is looked for among
// those of the last two days by the first signer's e-mail.
//
// Limits are checked before anything is sent: 10 MB for each file (setting
// "maxFileMB"), 255 characters for the name, 20 observers. Errors: ErrInvalid,
// ErrForbidden with Status 402 for a production account without a plan, and with
// 403 for features that the plan lacks; ErrAuth; ErrRateLimited; ErrUnavailable.
func CreateDocument(ctx context.Context, c *enlace.Conn, in DocumentInput) (Document, error) {
	const op = "create document"
	if err := in.check(op, number(c, "maxFileMB")<<20); err != nil {
		return Document{}, err
	}
	return create(ctx, c, op, "docs/", in, in.Key)
}

// CreateDocumentFromTemplate creates a document from a template: POST
// /models/create-doc/ (sheet 2.1.2). What [CreateDocument] says holds here too.
// Errors: ErrNotFound for an unknown template.
func CreateDocumentFromTemplate(ctx context.Context, c *enlace.Conn, in TemplateDocumentInput) (Document, error) {
	const op = "create document from template"
	faults := in.faults()
	if in.TemplateID == "" {
		faults = append(faults, enlace.Fault{Field: "TemplateID", Problem: "missing", Allowed: "a template's token"})
	}
	if in.SignerName == "" {
		faults = append(faults, enlace.Fault{Field: "SignerName", Problem: "missing", Allowed: "a name"})
	}
	if len(faults) > 0 {
		return Document{}, refuse(op, faults...)
	}
	if in.Data == nil {
		in.Data = []Substitution{}
	}
	return create(ctx, c, op, "models/create-doc/", in, in.Key)
}

func create(ctx context.Context, c *enlace.Conn, op, path string, in any, key string) (Document, error) {
	fields, err := object(op, in)
	if err != nil {
		return Document{}, err
	}
	body, _, err := createDocument(ctx, c, op, path, fields, key)
	if err != nil {
		return Document{}, err
	}
	return decode[Document](op, body)
}

// check finds everything that is wrong with the input.
func (in DocumentInput) check(op string, maxFile int) error {
	faults := in.faults()
	add := func(field, problem, allowed string) {
		faults = append(faults, enlace.Fault{Field: field, Problem: problem, Allowed: allowed})
	}
	sources := 0
	for _, there := range []bool{len(in.PDF) > 0, in.PDFURL != "", len(in.DOCX) > 0, in.DOCXURL != "", in.Markdown != ""} {
		if there {
			sources++
		}
	}
	if sources != 1 {
		add("PDF", fmt.Sprintf("%d files are given", sources), "exactly one of PDF, PDFURL, DOCX, DOCXURL, Markdown")
	}
	if len(in.PDF) > maxFile || len(in.DOCX) > maxFile {
		add("PDF", "larger than the setting maxFileMB", fmt.Sprintf("%d MB", maxFile>>20))
	}
	if in.Name == "" || utf8.RuneCountInString(in.Name) > 255 {
		add("Name", "missing or too long", "1 to 255 characters")
	}
	if len(in.Signers) == 0 {
		add("Signers", "missing", "at least one")
	}
	for i, s := range in.Signers {
		if s.Name == "" {
			add(fmt.Sprintf("Signers[%d].Name", i), "missing", "a name")
		}
	}
	if len(faults) > 0 {
		return refuse(op, faults...)
	}
	return nil
}

func (in Common) faults() (faults []enlace.Fault) {
	add := func(field, problem, allowed string) {
		faults = append(faults, enlace.Fault{Field: field, Problem: problem, Allowed: allowed})
	}
	if len(in.Observers) > 20 {
		add("Observers", "too many", "at most 20")
	}
	if utf8.RuneCountInString(in.BrandName) > 100 {
		add("BrandName", "too long", "at most 100 characters")
	}
	if fault := checkFolder(in.FolderPath); fault != "" {
		add("FolderPath", fault, "255 bytes, 50 for each folder, 5 levels")
	}
	return faults
}

// GetDocument reads a document: GET /docs/{token}/ (sheet 2.1.5). Deleted ones can
// be read. For the token of an extra document only the fields of [ExtraDoc] and
// ParentToken are set. Errors: ErrNotFound, also for documents of other accounts.
func GetDocument(ctx context.Context, c *enlace.Conn, token string) (Document, error) {
	return getObject[Document](ctx, c, "read document", "docs", token)
}

// DocumentFilter narrows a list of documents (sheet 2.1.4). There is no filter by
// name, by external id or by the time of change.
type DocumentFilter struct {
	Status      string    // pending, signed or refused; empty is all
	FolderPath  string    // "/" is the root
	Deleted     bool      // the deleted documents instead of the live ones
	SignerEmail string    // one of the signers has this e-mail
	CreatedFrom time.Time // the day counts, UTC; zero is no bound
	CreatedTo   time.Time // the day counts, and is included; zero is no bound
	NewestFirst bool      // by time of creation
	WithSigners bool      // fill in DocumentRow.Signers
}

func (f DocumentFilter) query() url.Values {
	q := url.Values{"deleted": {fmt.Sprint(f.Deleted)}, "sort_order": {"asc"}}
	if f.NewestFirst {
		q.Set("sort_order", "desc")
	}
	for name, value := range map[string]string{"status": f.Status, "folder_path": f.FolderPath, "signer_email": f.SignerEmail} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"created_from": f.CreatedFrom, "created_to": f.CreatedTo} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.DateOnly))
		}
	}
	if f.WithSigners {
		q.Set("include_signers", "true")
	}
	return q
}

// ListDocuments yields the documents of a filter, 25 by request: GET /docs/ (sheet
// 2.1.4). It ends after the first error. Rows are up to a minute old, extra
// documents come as rows of their own, and of documents that are deleted, or
// leave the filter, while the list is read others may be missed: a sync reads
// more carefully. Errors: ErrAuth.
func ListDocuments(ctx context.Context, c *enlace.Conn, f DocumentFilter) iter.Seq2[DocumentRow, error] {
	return typed[DocumentRow]("list documents", listAll(ctx, c, "list documents", "docs/", f.query()))
}

// DocumentUpdate are the changes that a document in progress can take; nothing
// else can be changed. Empty fields stay as they are.
type DocumentUpdate struct {
	Name            string   `json:"name,omitempty"`
	DateLimitToSign string   `json:"date_limit_to_sign,omitempty"` // 2006-01-02, or RFC 3339
	FolderPath      string   `json:"folder_path,omitempty"`
	FolderToken     string   `json:"folder_token,omitempty"` // wins over FolderPath
	ExtraDocs       []Rename `json:"extra_docs,omitempty"`
}

// Rename gives an extra document another name.
type Rename struct {
	Token string `json:"token"`
	Name  string `json:"name"`
}

// UpdateDocument changes a document in progress: PUT /docs/{token}/ (sheet 2.1.6).
// It may be repeated, and enlace does. Errors: ErrInvalid, also for a document
// that is not in progress; ErrNotFound.
func UpdateDocument(ctx context.Context, c *enlace.Conn, token string, in DocumentUpdate) error {
	at, err := path("docs", token)
	if err != nil {
		return err
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPut, Path: at, Body: in, Idempotent: true, Op: "update document"})
}

// ReorderDocuments sets the order in which a document and its extra documents are
// shown: PUT /docs/{token}/document-display-order/ (sheet 2.1.7). tokens are all
// of them, the main document's too. It may be repeated, and enlace does. Errors:
// ErrInvalid, ErrNotFound.
func ReorderDocuments(ctx context.Context, c *enlace.Conn, token string, tokens []string) error {
	at, err := path("docs", token, "document-display-order")
	if err != nil {
		return err
	}
	body := map[string][]string{"document_display_order": tokens}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPut, Path: at, Body: body, Idempotent: true, Op: "reorder documents"})
}

// DeleteDocument deletes a document for good: DELETE /docs/{token}/ (sheet
// 2.1.8). It can still be read, with Deleted set. Signers are not stopped for
// sure: cancel it first. It may be repeated, and enlace does. Errors: ErrNotFound.
func DeleteDocument(ctx context.Context, c *enlace.Conn, token string) (Document, error) {
	at, err := path("docs", token)
	if err != nil {
		return Document{}, err
	}
	return change[Document](ctx, c, enlace.Call{Method: http.MethodDelete, Path: at, Idempotent: true, Op: "delete document"})
}

// CancelDocument ends a document in progress in the company's name: POST /refuse/
// (sheet 2.1.12). Its state becomes StateRefused, and the event is doc_signed.
// notify e-mails every signer, also those who were not invited yet.
//
// The request is sent once. Whatever is unclear then is decided by reading the
// document: if it is refused, also since an earlier call, that is a success.
// Errors: ErrConflict if it is signed, ErrForbidden, ErrInvalid without a reason,
// ErrNotFound.
func CancelDocument(ctx context.Context, c *enlace.Conn, token, reason string, notify bool) error {
	const op = "cancel document"
	if _, err := path(token); err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" {
		return invalid(op, "reason", "missing", "why it is cancelled")
	}
	body := map[string]any{"doc_token": token, "rejected_reason": reason, "notify_signer": notify}
	err := acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: "refuse/", Body: body, Op: op})
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok || (e.Status != http.StatusForbidden && !inDoubt(err)) || errors.Is(err, enlace.ErrAuth) {
		return err
	}
	switch d, readErr := GetDocument(ctx, c, token); {
	case readErr != nil:
		return err
	case documentStates[d.Status] == StateRefused:
		return nil
	case documentStates[d.Status] == StateCompleted && e.Status == http.StatusForbidden:
		signed := *e
		signed.Kind, signed.Outcome = enlace.ErrConflict, enlace.OutcomeRan
		return &signed
	default:
		return err
	}
}

// RefuseByUser refuses a document in the name of a user of the account who is one
// of its signers: POST /refuse/by-user/ (sheet 2.1.13). It needs AllowRefuse at
// creation, and the signer's e-mail to be the user's. user is the user's token
// (Settings > My profile > Security). It is sent once. Errors: ErrForbidden,
// ErrInvalid.
func RefuseByUser(ctx context.Context, c *enlace.Conn, token, signer string, user enlace.Secret, reason string) error {
	body := map[string]string{"doc_token": token, "signer_token": signer, "user_token": user.Reveal(), "rejected_reason": reason}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: "refuse/by-user/", Body: body, Op: "refuse document by user"})
}

// ExtraDocumentInput is a further file for a document: a name, and one of PDF and
// PDFURL.
type ExtraDocumentInput struct {
	Name   string `json:"name"` // at most 255 characters
	PDF    []byte `json:"base64_pdf,omitempty"`
	PDFURL string `json:"url_pdf,omitempty"` // public
	// Once makes the call one that can be repeated safely: if the document has an
	// extra document of this name, that one is returned.
	Once bool `json:"-"`
}

// AddExtraDocument adds a file to a document in progress: POST
// /docs/{token}/upload-extra-doc/ (sheet 2.1.9). It counts as a document, cannot
// be removed, and shares the signers. A document takes 14 of them, 9 in the
// sandbox, more by contract; 10 MB each (setting "maxFileMB").
//
// It is sent once; with in.Once what is unclear is decided by reading the
// document, as [CreateDocument] does with a key. Errors: ErrInvalid, also at the
// limit; ErrForbidden with Status 402 without a plan; ErrNotFound.
func AddExtraDocument(ctx context.Context, c *enlace.Conn, token string, in ExtraDocumentInput) (ExtraDoc, error) {
	const op = "add extra document"
	at, err := path("docs", token, "upload-extra-doc")
	switch {
	case err != nil:
		return ExtraDoc{}, err
	case in.Name == "" || utf8.RuneCountInString(in.Name) > 255:
		return ExtraDoc{}, invalid(op, "Name", "missing or too long", "1 to 255 characters")
	case (len(in.PDF) > 0) == (in.PDFURL != ""):
		return ExtraDoc{}, invalid(op, "PDF", "none or two files", "exactly one of PDF, PDFURL")
	case len(in.PDF) > number(c, "maxFileMB")<<20:
		return ExtraDoc{}, invalid(op, "PDF", "larger than the setting maxFileMB", c.Setting("maxFileMB")+" MB")
	}
	return addExtra(ctx, c, op, token, in.Name, in.Once, enlace.Call{Method: http.MethodPost, Path: at, Body: in, Op: op})
}

func addExtra(ctx context.Context, c *enlace.Conn, op, token, name string, once bool, send enlace.Call) (ExtraDoc, error) {
	var body json.RawMessage
	var err error
	if once {
		find := func(ctx context.Context) (json.RawMessage, error) {
			return findIn(ctx, c, op, token, "extra_docs", func(e ExtraDoc) bool { return e.Name == name })
		}
		body, _, err = creation{op, find, send}.run(ctx, c)
	} else {
		body, err = write(ctx, c, send)
	}
	if err != nil {
		return ExtraDoc{}, err
	}
	return decode[ExtraDoc](op, body)
}

// findIn looks for an element of one of a document's lists.
func findIn[T any](ctx context.Context, c *enlace.Conn, op, token, list string, match func(T) bool) (json.RawMessage, error) {
	body, err := readObject(ctx, c, op, "docs", token)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	var elements []json.RawMessage
	if json.Unmarshal(body, &members) != nil || (members[list] != nil && json.Unmarshal(members[list], &elements) != nil) {
		return nil, protocol(op, "the document is not of the expected form", nil)
	}
	for _, element := range elements {
		if value, err := decode[T](op, element); err != nil || match(value) {
			return element, err
		}
	}
	return nil, nil
}

// AddExtraDocumentFromTemplate adds a file made from a template: POST
// /models/{doc_token}/upload-extra-doc/ (sheet 2.1.10). It is sent once. Errors:
// ErrInvalid for a document that is signed, deleted or itself an extra one, and
// at the limit; ErrForbidden with Status 402 without a plan, or for a template
// that is gone; ErrNotFound.
func AddExtraDocumentFromTemplate(ctx context.Context, c *enlace.Conn, token, template string, data []Substitution) (ExtraDoc, error) {
	const op = "add extra document from template"
	at, err := path("models", token, "upload-extra-doc")
	if err != nil {
		return ExtraDoc{}, err
	}
	if data == nil {
		data = []Substitution{}
	}
	body := map[string]any{"template_id": template, "data": data}
	return addExtra(ctx, c, op, token, "", false, enlace.Call{Method: http.MethodPost, Path: at, Body: body, Op: op})
}

// The kinds of placements.
const (
	PlaceSignature = "signature"
	PlaceInitials  = "visto"
)

// Placement is where a signer's signature or initials go on a page. Positions
// and sizes are percentages of the page as it is displayed, from its lower left
// corner; Left+Width and Bottom+Height are at most 100. On A4 upright a signature
// of 19.55 by 9.42 and initials of 13.76 by 9.42 look right (sheet 2.1.11).
type Placement struct {
	Type   string  `json:"type"` // PlaceSignature or PlaceInitials
	Page   int     `json:"page"` // from 0
	Left   float64 `json:"relative_position_left"`
	Bottom float64 `json:"relative_position_bottom"`
	Width  float64 `json:"relative_size_x"`
	Height float64 `json:"relative_size_y"`
	Signer string  `json:"signer_token"`
}

// PlaceSignatures sets where the signers sign: POST
// /docs/{token}/place-signatures/ (sheet 2.1.11). The placements replace all
// that the file has; none clears it. token may be an extra document's. It takes
// effect with the next signature. It may be repeated, and enlace does. ZapSign
// promises no check, so positions are checked here. Errors: ErrInvalid,
// ErrNotFound.
func PlaceSignatures(ctx context.Context, c *enlace.Conn, token string, placements []Placement) error {
	const op = "place signatures"
	at, err := path("docs", token, "place-signatures")
	if err != nil {
		return err
	}
	for i, p := range placements {
		inside := p.Left >= 0 && p.Bottom >= 0 && p.Width > 0 && p.Height > 0 && p.Left+p.Width <= 100 && p.Bottom+p.Height <= 100
		if !inside || p.Page < 0 || p.Signer == "" || (p.Type != PlaceSignature && p.Type != PlaceInitials) {
			return invalid(op, fmt.Sprintf("placements[%d]", i), "no place on a page", "a type, a page from 0, a signer, and a box within 0 to 100")
		}
	}
	if placements == nil {
		placements = []Placement{}
	}
	body := map[string]any{"rubricas": placements}
	return c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: at, Body: body, Idempotent: true, Op: op}, nil)
}

// ReprocessDocument asks for the webhook of the last event to be sent again
// (which event is not documented), or for the signed file to be made again: POST
// /docs/{token}/reprocess-doc/ (sheet 2.1.14). It happens later. It is sent once.
// Errors: ErrNotFound.
func ReprocessDocument(ctx context.Context, c *enlace.Conn, token string, sendWebhook, rebuildFile bool) error {
	at, err := path("docs", token, "reprocess-doc")
	if err != nil {
		return err
	}
	body := map[string]bool{"send_webhook": sendWebhook, "resign_doc": rebuildFile}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: at, Body: body, Op: "reprocess document"})
}

// Activity is a line of a document's activity log.
type Activity struct {
	Time        Time   `json:"time"`
	User        string `json:"user"`
	Event       string `json:"event"`
	Description string `json:"description"`
}

// ActivityLog reads what happened to a document, in no promised order: GET
// /docs/signer-log/{token} (sheet 2.1.15). Errors: ErrForbidden without the plan,
// ErrNotFound.
func ActivityLog(ctx context.Context, c *enlace.Conn, token string) ([]Activity, error) {
	at, err := path("docs", "signer-log", token)
	if err != nil {
		return nil, err
	}
	return get[[]Activity](ctx, c, "read activity log", strings.TrimSuffix(at, "/"), nil)
}

// ActivityLogPDF reads the activity log as a PDF: GET /docs/signer-log/{token} with
// download_pdf (sheet 2.1.15). Errors: those of [ActivityLog].
func ActivityLogPDF(ctx context.Context, c *enlace.Conn, token string) ([]byte, error) {
	at, err := path("docs", "signer-log", token)
	if err != nil {
		return nil, err
	}
	call := enlace.Call{Path: strings.TrimSuffix(at, "/"), Query: url.Values{"download_pdf": {"true"}},
		Header: http.Header{"Accept": {"application/pdf"}}, Op: "read activity log"}
	return do[[]byte](ctx, c, call)
}

// Notified is what became of a bulk notification.
type Notified struct {
	Success       bool `json:"success"` // may be false when nothing went out
	Signers       int  `json:"total_signers"`
	Sent          int  `json:"sent_count"`
	Failed        int  `json:"failed_count"`
	FailedSigners []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"failed_signers"`
	HasOrder  bool `json:"has_order_active"`
	HasGroups bool `json:"has_signature_groups"`
}

// NotifyPending sends a message to every signer who has not signed: POST
// /docs/{token}/resend-notifications-bulk/ (sheet 2.1.16). It is sent once.
// Errors: ErrRateLimited with Code "cooldown_period" for hours after the last
// time, which is not the account's rate limit and is not waited for; ErrConflict
// if the document is not in progress or nobody is pending; ErrForbidden for a
// document of another account.
func NotifyPending(ctx context.Context, c *enlace.Conn, token string) (Notified, error) {
	at, err := path("docs", token, "resend-notifications-bulk")
	if err != nil {
		return Notified{}, err
	}
	return do[Notified](ctx, c, enlace.Call{Method: http.MethodPost, Path: at, Op: "notify pending signers"})
}
