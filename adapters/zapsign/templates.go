package zapsign

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/enlace-go/enlace"
)

// TemplateInput is what a template is made from or changed to (sheet 2.4). The
// file is one of DOCX and DOCXURL, at most 10 MB, and cannot be changed.
type TemplateInput struct {
	Name         string          `json:"name,omitempty"` // at most 255 characters
	DOCX         []byte          `json:"base64_docx,omitempty"`
	DOCXURL      string          `json:"docx_url,omitempty"` // public; spelt otherwise than for documents
	Lang         string          `json:"lang,omitempty"`
	Observers    []string        `json:"observers,omitempty"` // at most 20
	FirstSigner  *TemplateSigner `json:"first_signer,omitempty"`
	FolderToken  string          `json:"folder_token,omitempty"`
	FolderPath   string          `json:"folder_path,omitempty"`
	RedirectLink string          `json:"redirect_link,omitempty"`
}

// TemplateForm is the form in which a signer fills in a template's variables.
type TemplateForm struct {
	TemplateID       string          `json:"template_id"`
	CustomIntro      string          `json:"custom_intro,omitempty"`
	YouTubeVideoCode string          `json:"youtube_video_code,omitempty"`
	Inputs           []TemplateField `json:"inputs,omitempty"`
}

// ListTemplates yields the templates, without their signers and inputs, 20 by
// request: GET /templates/ (sheet 2.4). It ends after the first error: ErrAuth.
func ListTemplates(ctx context.Context, c *enlace.Conn) iter.Seq2[Template, error] {
	return typed[Template]("list templates", listAll(ctx, c, "list templates", "templates/", url.Values{}))
}

// GetTemplate reads a template with its signers and inputs: GET
// /templates/{token}/ (sheet 2.4). Errors: ErrNotFound.
func GetTemplate(ctx context.Context, c *enlace.Conn, token string) (Template, error) {
	return getObject[Template](ctx, c, "read template", "templates", token)
}

// CreateTemplate makes a template of a DOCX file: POST /templates/create/ (sheet
// 2.4). It is sent once. Errors: ErrInvalid, ErrForbidden.
func CreateTemplate(ctx context.Context, c *enlace.Conn, in TemplateInput) (Template, error) {
	const op = "create template"
	switch {
	case in.Name == "":
		return Template{}, invalid(op, "Name", "missing", "1 to 255 characters")
	case (len(in.DOCX) > 0) == (in.DOCXURL != ""):
		return Template{}, invalid(op, "DOCX", "none or two files", "exactly one of DOCX, DOCXURL")
	case len(in.DOCX) > number(c, "maxFileMB")<<20:
		return Template{}, invalid(op, "DOCX", "larger than the setting maxFileMB", c.Setting("maxFileMB")+" MB")
	}
	return change[Template](ctx, c, enlace.Call{Method: http.MethodPost, Path: "templates/create/", Body: in, Op: op})
}

// UpdateTemplate changes a template but for its file: PUT /templates/{token}/
// (sheet 2.4). It may be repeated, and enlace does. Errors: ErrInvalid,
// ErrNotFound.
func UpdateTemplate(ctx context.Context, c *enlace.Conn, token string, in TemplateInput) (Template, error) {
	at, err := path("templates", token)
	if err != nil {
		return Template{}, err
	}
	if len(in.DOCX) > 0 || in.DOCXURL != "" {
		return Template{}, invalid("update template", "DOCX", "cannot be changed", "none")
	}
	return change[Template](ctx, c, enlace.Call{Method: http.MethodPut, Path: at, Body: in, Idempotent: true, Op: "update template"})
}

// UpdateTemplateForm sets a template's form: POST /templates/update-form/ (sheet
// 2.4). It may be repeated, and enlace does. Errors: ErrInvalid, ErrNotFound.
func UpdateTemplateForm(ctx context.Context, c *enlace.Conn, in TemplateForm) (Template, error) {
	if in.TemplateID == "" {
		return Template{}, invalid("update template form", "TemplateID", "missing", "a template's token")
	}
	return change[Template](ctx, c, enlace.Call{Method: http.MethodPost, Path: "templates/update-form/", Body: in, Idempotent: true, Op: "update template form"})
}

// DeleteTemplate deletes a template: DELETE /templates/{token}/ (sheet 2.4). It
// may be repeated, and enlace does. Errors: ErrNotFound, also after an earlier
// deletion.
func DeleteTemplate(ctx context.Context, c *enlace.Conn, token string) error {
	at, err := path("templates", token)
	if err != nil {
		return err
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodDelete, Path: at, Idempotent: true, Op: "delete template"})
}

// createTemplate carries out a create of a template, once if there is a key: the
// template gets a folder of its own, which is looked for in the list of them all.
func createTemplate(ctx context.Context, c *enlace.Conn, fields map[string]json.RawMessage, key string) (json.RawMessage, bool, error) {
	const op = "create template"
	send := enlace.Call{Method: http.MethodPost, Path: "templates/create/", Body: fields, Op: op}
	if key == "" {
		body, err := write(ctx, c, send)
		return body, err == nil, err
	}
	if textOf(fields, "folder_token") != "" {
		return nil, false, invalid(op, "folder_token", "leaves the key no folder", "folder_path, or no key")
	}
	search, err := keyFields(c, op, fields, key)
	if err != nil {
		return nil, false, err
	}
	delete(fields, "external_id") // templates have none
	folder := search.Get("folder_path")
	find := func(ctx context.Context) (json.RawMessage, error) {
		for r, err := range listAll(ctx, c, op+": look up", "templates/", url.Values{}) {
			if err != nil || r.folder == folder {
				return r.raw, err
			}
		}
		return nil, nil
	}
	return creation{op, find, send}.run(ctx, c)
}
