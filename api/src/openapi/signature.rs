//! Description of an operation by the signature of its handler: every argument says what it reads and how that can
//! fail, the return type says what is answered.

use super::Operation;
use super::schemas::Schemas;

/// Something that a handler takes: adds its parameters, or its body, and the problems of reading it.
pub(crate) trait DescribeInput {
    /// Adds to the description; does nothing for what is no part of the request.
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation;
}

/// Something that a handler answers with: adds statuses, headers, media types and schemas.
pub(crate) trait DescribeOutput {
    /// Adds to the description.
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation;
}

/// A handler whose signature can be described. `Arguments` only tells the implementations apart.
pub(crate) trait Signature<Arguments> {
    /// Adds what the handler reads and answers.
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation;
}

macro_rules! signatures {
    ($(($($argument:ident),*);)*) => {
        $(
            impl<Function, Answer, $($argument,)*> Signature<($($argument,)*)> for Function
            where
                Function: Fn($($argument),*) -> Answer,
                Answer: Future,
                Answer::Output: DescribeOutput,
                $($argument: DescribeInput,)*
            {
                fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
                    // Answers first: some arguments add headers to every one of them.
                    let operation = <Answer::Output as DescribeOutput>::describe(operation, schemas);
                    $(let operation = <$argument as DescribeInput>::describe(operation, schemas);)*
                    operation
                }
            }
        )*
    };
}

signatures! {
    ();
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
    (A, B, C, D, E, F, G);
    (A, B, C, D, E, F, G, H);
    (A, B, C, D, E, F, G, H, I);
    (A, B, C, D, E, F, G, H, I, J);
}

impl<Answer: DescribeOutput, Problem> DescribeOutput for Result<Answer, Problem> {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        Answer::describe(operation, schemas)
    }
}
