// The options of a command: a table from which its arguments are parsed and its help is generated.

/** An option that takes no value. */
export interface FlagSpec {
  readonly type: "boolean";
  readonly short?: string;
  readonly description: string;
}

/** An option with a value. */
export interface ValueSpec {
  /** A list is separated by commas. */
  readonly type: "string" | "integer" | "list";
  readonly short?: string;
  /** The placeholder of the value in the help. */
  readonly value: string;
  /** The valid values; case and dashes are ignored. */
  readonly choices?: readonly string[];
  readonly default?: string;
  /** Whether a list continues if the option is repeated. Otherwise the last value counts, as for every other option. */
  readonly isRepeatable?: boolean;
  readonly description: string;
}

export type OptionSpec = FlagSpec | ValueSpec;

/** Options by name, without dashes. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** The parsed value of an option. */
type OptionValue<Spec extends OptionSpec> = Spec extends FlagSpec
  ? boolean | undefined
  : Spec extends { readonly type: "integer" }
    ? number | undefined
    : Spec extends { readonly type: "list" }
      ? OrDefault<Spec, readonly string[]>
      : OrDefault<Spec, string>;

type OrDefault<Spec, Value> = Spec extends { readonly default: string } ? Value : Value | undefined;

/** The parsed values of a table's options. */
export type Values<Options extends OptionTable> = {
  readonly [Name in keyof Options]: OptionValue<Options[Name]>;
};

/** A command of the program. */
export interface Command<Options extends OptionTable = OptionTable> {
  /** The command line after the command's name, one entry for each form. */
  readonly usage: readonly string[];
  readonly options: Options;
  /** Whether another command may follow `--`. */
  readonly takesCommand?: boolean;
  /** Paragraphs of the help. One that starts with a space is not wrapped. */
  readonly notes: readonly string[];
  /** Runs the command and resolves with the exit code. `rest` are the arguments after `--`, undefined without `--`. */
  run(values: Values<Options>, rest: readonly string[] | undefined): Promise<number>;
}
